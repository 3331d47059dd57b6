"""Makes the pages of the site from those of the repository, for mkdocs.yml.

The pages in docs link to each other, to README.md and its neighbours, and to code. The first
stay. README.md, CHANGELOG.md and CONTRIBUTING.md become pages of the site, and links between
them and docs are adapted. A link to code or to a configuration becomes its text, since the
site has no code. A link whose text is the name of a page gets the page's title as its text.
"""

import os
import re

from mkdocs.structure.files import File

ROOT = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def slug(text, separator):
    """Returns the anchor of a heading as GitHub makes it, which the pages' links name."""
    return "".join(
        c if c.isalnum() or c in "-_" else separator if c == " " else "" for c in text.lower()
    )


def on_files(files, config):
    """Adds the pages at the root of the repository, and the style sheet."""
    root = os.path.dirname(config["config_file_path"])
    style = os.path.join(root, "tools", "site")
    for folder, name in [(root, name) for name in ROOT] + [(style, "site.css")]:
        files.append(File(name, folder, config["site_dir"], config["use_directory_urls"]))
    return files


def on_page_markdown(markdown, page, config, files):
    """Adapts the links of a page. What is fenced stays as it is."""
    folder = "" if page.file.src_path in ROOT else "docs"
    titles = {f.src_path: title(f) for f in files.documentation_pages()}
    blocks = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.M | re.S)
    return "".join(b if i % 2 else LINK.sub(lambda m: adapt(m, folder, titles), b) for i, b in enumerate(blocks))


def title(file):
    """Returns the first heading of a page."""
    with open(file.abs_src_path, encoding="utf-8") as page:
        return next((line[2:].strip() for line in page if line.startswith("# ")), file.src_path)


def adapt(match, folder, titles):
    """Returns a link as the site needs it."""
    image, text, target = match.groups()
    if "://" in target or target.startswith(("#", "mailto:")):
        return match.group(0)
    path, _, fragment = target.partition("#")
    path = os.path.normpath(os.path.join(folder, path))
    if path.startswith("docs/"):
        path = path[len("docs/") :]
    elif path not in ROOT:
        return text
    if os.path.basename(text) == path:
        text = titles[path]
    return f"{image}[{text}]({path}{'#' + fragment if fragment else ''})"

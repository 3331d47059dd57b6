"""Reads the messages whose paths come on standard input with Python's email package, and
prints what it says as a line of JSON."""

import email
import email.policy
import hashlib
import json
import sys


def addresses(message, name):
    return [a.addr_spec for field in message.get_all(name, []) for a in field.addresses if a.addr_spec]


def content(part):
    if part.get_content_type() == "message/rfc822" or part.is_multipart():
        return b"\n".join(bytes(m) for m in part.get_payload())
    return part.get_payload(decode=True) or b""


def leaves(part):
    if part.get_content_maintype() != "multipart":
        yield part
    elif part.is_multipart():
        for child in part.iter_parts():
            yield from leaves(child)
    else:
        yield part


def decoded(part):
    raw = content(part)
    charset = part.get_content_charset("utf-8")
    try:
        return raw.decode(charset, "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def read(path):
    with open(path, "rb") as f:
        message = email.message_from_binary_file(f, policy=email.policy.default)
    bodies = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    said = {
        "subject": message["subject"] or "",
        "from": addresses(message, "from"),
        "to": addresses(message, "to"),
        "cc": addresses(message, "cc"),
        "text": decoded(bodies["plain"]) if bodies["plain"] else "",
        "html": decoded(bodies["html"]) if bodies["html"] else "",
        "files": [],
    }
    for part in leaves(message):
        if part in bodies.values():
            continue
        raw = content(part).replace(b"\r\n", b"\n").rstrip(b"\n")
        said["files"].append({"name": part.get_filename() or "", "sum": hashlib.sha256(raw).hexdigest()})
    return said


for line in sys.stdin:
    try:
        said = read(line.rstrip("\n"))
    except Exception as e:  # a fault of the reader is no difference
        said = {"error": repr(e)}
    print(json.dumps(said), flush=True)

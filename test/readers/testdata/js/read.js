// Reads the messages whose paths come on standard input with mailparser or postal-mime, and
// prints what each one says as a line of JSON.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { simpleParser } from "mailparser";
import PostalMime from "postal-mime";

const text = (value) => value || "";

function addresses(list) {
  return (list || []).flatMap((a) => (a.group ? addresses(a.group) : a.address ? [a.address] : []));
}

function files(list) {
  return (list || []).map((a) => {
    let content = Buffer.from(a.content || "").toString("latin1");
    content = content.replaceAll("\r\n", "\n").replace(/\n+$/, "");
    return { name: text(a.filename), sum: createHash("sha256").update(content, "latin1").digest("hex") };
  });
}

const readers = {
  async mailparser(raw) {
    const m = await simpleParser(raw, {
      skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true, keepCidLinks: true,
    });
    const list = (field) => addresses([field || []].flat().flatMap((f) => f.value.map((a) => ({ ...a, group: a.group }))));
    return { subject: text(m.subject), from: list(m.from), to: list(m.to), cc: list(m.cc), text: text(m.text), html: text(m.html), files: files(m.attachments) };
  },
  async "postal-mime"(raw) {
    const m = await PostalMime.parse(raw, { forceRfc822Attachments: true });
    return {
      subject: text(m.subject), from: addresses(m.from ? [m.from] : []), to: addresses(m.to), cc: addresses(m.cc),
      text: text(m.text), html: text(m.html), files: files(m.attachments),
    };
  },
};

const read = readers[process.argv[2]];
for await (const path of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = await read(await readFile(path));
  } catch (e) {
    said = { error: String(e) };
  }
  process.stdout.write(JSON.stringify(said) + "\n");
}

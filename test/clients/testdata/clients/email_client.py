"""Sends one message that email.message makes: alternatives, a picture, attachments and a
forwarded message. Prints the SHA-256 of the forwarded one."""

import hashlib
import json
import smtplib
import sys
from email.message import EmailMessage
from email.utils import formatdate

spec_path, port = sys.argv[1:]
with open(spec_path, encoding="utf-8") as f:
    spec = json.load(f)

forwarded = EmailMessage()
forwarded["From"] = "Chie <chie@example.net>"
forwarded["To"] = spec["from"]
forwarded["Subject"] = "見積書"
forwarded.set_content("お願いします。\n", charset="iso-2022-jp")
forwarded.add_attachment(b"\x00\x01inner", "application", "octet-stream", filename="inner.bin")

message = EmailMessage()
message["From"] = "Jörg Test <%s>" % spec["from"]
message["To"] = spec["to"]
message["Cc"] = spec["cc"]
message["Subject"] = spec["subject"]
message["Date"] = formatdate(1793613600)
message["X-Job"] = "Größe 42"
message.set_content(spec["text"])
message.add_alternative(spec["html"], subtype="html", charset="iso-8859-15")
for file in spec["files"]:
    with open(file["path"], "rb") as f:
        content = f.read()
    maintype, subtype = file["type"].split("/")
    if file.get("contentId"):
        message.get_payload()[1].add_related(content, maintype, subtype, cid="<%s>" % file["contentId"],
                                             filename=file["name"], disposition="inline")
    else:
        message.add_attachment(content, maintype, subtype, filename=file["name"])
message.add_attachment(forwarded)

with smtplib.SMTP("127.0.0.1", int(port)) as server:
    server.send_message(message, to_addrs=spec["to"] + spec["cc"] + spec["bcc"])

print(hashlib.sha256(forwarded.as_bytes().replace(b"\n", b"\r\n")).hexdigest())

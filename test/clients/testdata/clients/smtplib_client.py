"""Sends one message with Python's smtplib; email.message makes its MIME."""

import json
import smtplib
import ssl
import sys
from email.message import EmailMessage

spec_path, port, listener, mechanism, user, password, authority = sys.argv[1:]
with open(spec_path, encoding="utf-8") as f:
    spec = json.load(f)

message = EmailMessage()
message["From"] = spec["from"]
message["To"] = ", ".join(spec["to"])
message["Cc"] = ", ".join(spec["cc"])
message["Subject"] = spec["subject"]
message.set_content(spec["text"])
html = None
if spec.get("html"):
    message.add_alternative(spec["html"], subtype="html")
    html = message.get_payload()[1]
for file in spec["files"] or []:
    with open(file["path"], "rb") as f:
        content = f.read()
    maintype, subtype = file["type"].split("/")
    if file.get("contentId"):
        html.add_related(content, maintype, subtype, cid="<%s>" % file["contentId"], filename=file["name"],
                         disposition="inline")
    else:
        message.add_attachment(content, maintype, subtype, filename=file["name"])

context = ssl.create_default_context(cafile=authority)
if listener == "submissions":
    server = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context)
else:
    server = smtplib.SMTP("127.0.0.1", int(port))
with server:
    if listener == "submission":
        server.starttls(context=context)
    if mechanism:
        server.ehlo()
        server.user, server.password = user, password
        server.auth(mechanism, getattr(server, "auth_" + mechanism.lower()))
    server.send_message(message, to_addrs=spec["to"] + spec["cc"] + spec["bcc"])

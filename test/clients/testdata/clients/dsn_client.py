"""Submits a message that asks for notifications, or reads one.

dsn_client.py HOST PORT FROM TO   sends standard input
dsn_client.py                     prints what the notification on standard input says, as JSON
"""
import email
import email.policy
import json
import smtplib
import sys

if len(sys.argv) > 1:
    host, port, sender, to = sys.argv[1:]
    with smtplib.SMTP(host, int(port)) as s:
        s.ehlo("client.test")
        if not s.has_extn("dsn"):
            sys.exit("no DSN")
        s.sendmail(sender, [to], sys.stdin.buffer.read(), ["RET=HDRS", "ENVID=id+2B1"],
                   ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;old@example.com"])
else:
    m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
    text, status, header = m.iter_parts()
    groups = [dict(g.items()) for g in status.get_payload()]
    print(json.dumps({"type": m.get_content_type(), "defects": [str(d) for p in m.walk() for d in p.defects],
                      "auto": m["Auto-Submitted"], "text": text.get_content(), "message": groups[0], "recipients": groups[1:],
                      "returned": email.message_from_string(header.get_content())["Subject"]}))

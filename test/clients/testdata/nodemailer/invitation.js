// Sends one invitation with Nodemailer, which makes its MIME.
'use strict';

const fs = require('node:fs');
const nodemailer = require('nodemailer');

const [specPath, port] = process.argv.slice(2);
const spec = JSON.parse(fs.readFileSync(specPath, 'utf8'));

nodemailer.createTransport({ host: '127.0.0.1', port: Number(port), ignoreTLS: true }).sendMail({
  from: spec.from,
  to: spec.to,
  cc: spec.cc,
  bcc: spec.bcc,
  subject: spec.subject,
  text: spec.text,
  html: spec.html,
  attachments: spec.files.map((f) => ({ filename: f.name, path: f.path, contentType: f.type, cid: f.contentId })),
  icalEvent: { method: 'REQUEST', filename: 'invitation.ics', content: spec.calendar },
}).then(
  (info) => console.log(info.response),
  (err) => {
    console.error(err);
    process.exitCode = 1;
  },
);

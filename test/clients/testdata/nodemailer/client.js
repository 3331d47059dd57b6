// Sends one message with Nodemailer, which makes its MIME.
'use strict';

const fs = require('node:fs');
const nodemailer = require('nodemailer');

const [specPath, port, listener, mechanism, user, pass, authority] = process.argv.slice(2);
const spec = JSON.parse(fs.readFileSync(specPath, 'utf8'));

const transport = nodemailer.createTransport({
  host: '127.0.0.1',
  port: Number(port),
  secure: listener === 'submissions',
  requireTLS: listener === 'submission',
  ignoreTLS: listener === 'devices',
  auth: mechanism ? { user, pass } : undefined,
  authMethod: mechanism || undefined,
  tls: { ca: fs.readFileSync(authority) },
});

transport.sendMail({
  from: spec.from,
  to: spec.to,
  cc: spec.cc,
  bcc: spec.bcc,
  subject: spec.subject,
  text: spec.text,
  html: spec.html,
  attachments: (spec.files || []).map((f) => ({
    filename: f.name,
    path: f.path,
    contentType: f.type,
    cid: f.contentId,
    contentDisposition: f.contentId ? 'inline' : 'attachment',
  })),
}).then(
  (info) => console.log(info.response),
  (err) => {
    console.error(err);
    process.exitCode = 1;
  },
);

-- The content of a database of schema 1, with messages in every state. Times are around
-- 2026-01-02 03:04:05 UTC (1767323045 s). The checksums are filled in by the test.
INSERT INTO lane (id, connection, mailbox, served, retries, turn) VALUES
	(3, 'contoso', 'a@contoso.test', 7, 1, 40),
	(5, 'tenants+anna@contoso.test', 'anna@contoso.test', 0, 0, 2),
	(8, 'tenants+id@fabrikam.test', 'b@fabrikam.test', 0, 0, 0);

INSERT INTO message (id, received, size, sum, body, lane, mail_from, recipients, utf8, dsn, header_from, sender, reply_to,
	signature, subject, message_id, listener, user, client, trace, state, due, turn) VALUES
	('0000000000000000', 1767323045000000, 7, 0, 1, 3, 'a@contoso.test', '["x@example.test","Ü@example.test"]', 1,
		'{"ret":"HDRS","envid":"e1","recipients":{"x@example.test":{"notify":["FAILURE"]}}}', 'shown@contoso.test', 'sender@contoso.test',
		'reply@contoso.test', 'sales', 'new', '<1@x>', 'devices', 'crm', '10.0.0.1', 3, 'queued', 1767323045000000, 41),
	('0000000000000001', 1767323046000000, 7, 0, 1, 5, 'anna@contoso.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'claimed', '<2@x>', 'visitors', 'anna@contoso.test', '10.0.0.2', 0, 'delivering', 1767323046000000, 2),
	('0000000000000002', 1767323047000000, 7, 0, 1, 3, 'a@contoso.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'uploading', '<3@x>', 'devices', 'crm', '10.0.0.1', 0, 'deferred', 4102444800000000, 39),
	('0000000000000003', 1767323048000000, 7, 0, 1, 3, 'a@contoso.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'in doubt', '<4@x>', 'devices', 'crm', '10.0.0.1', 0, 'deferred', 4102444800000001, 38),
	('0000000000000004', 1767323049000000, 7, 0, 1, 8, 'b@fabrikam.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'held', '<5@x>', 'visitors', 'id@fabrikam.test', '10.0.0.3', 0, 'held', 1767323049000000, 0),
	('0000000000000005', 1767323050000000, 7, 0, 0, 3, 'a@contoso.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'sent', '<6@x>', 'devices', 'crm', '10.0.0.1', 0, 'sent', 1767323050000000, 37),
	('0000000000000006', 1767323051000000, 7, 0, 1, 3, 'a@contoso.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'failed', '<7@x>', 'devices', 'crm', '10.0.0.1', 0, 'failed', 1767323051000000, 36),
	('0000000000000007', 1767323052000000, 7, 0, 1, 3, 'a@contoso.test', '["x@example.test"]', 0, '', '', '', '',
		'', 'not sent', '<8@x>', 'devices', 'crm', '10.0.0.1', 0, 'deferred', 4102444800000002, 35);
INSERT INTO body (id, data) SELECT id, CAST('content' AS BLOB) FROM message WHERE body = 1;

UPDATE message SET owner='old/1', fence=4, attempts=1, draft_wanted=1 WHERE id='0000000000000001';
UPDATE message SET fence=2, attempts=2, warned=1, reason='network', detail='reset', path='draft', draft_wanted=1, draft_id='AAk=',
	attached=2, upload_url='https://graph.test/u?token=1&x="y"', upload_offset=327680 WHERE id='0000000000000002';
UPDATE message SET fence=1, attempts=1, reason='confirming', path='draft', draft_wanted=1, draft_id='AAl=',
	send_wanted=1767323048250001, settle=1767323348250001 WHERE id='0000000000000003';
UPDATE message SET fence=3, attempts=1, reason='send_unknown', path='draft', stray=1 WHERE id='0000000000000004';
UPDATE message SET fence=1, attempts=1, finished=1767323060000000, path='mime', draft_wanted=1, draft_id='AAm=',
	send_wanted=1767323050000000, settle=1767323350000000, accepted=1 WHERE id='0000000000000005';
UPDATE message SET fence=1, attempts=3, finished=1767323061000000, reason='too_large', detail='no' WHERE id='0000000000000006';
UPDATE message SET fence=1, attempts=1, reason='network', path='draft', draft_wanted=1, draft_id='AAn=',
	send_wanted=1767323052000000, settle=1767323052000000 WHERE id='0000000000000007';

INSERT INTO event (id, seq, at, what, detail, request_id) VALUES
	('0000000000000002', 1, 1767323047000000, 'draft created', '3 attachments to come', 'r1'),
	('0000000000000002', 2, 1767323047000001, 'attached', '', 'r2');
INSERT INTO turn (lane, source, last) VALUES (3, 'crm 10.0.0.1 a@contoso.test', 41), (3, 'crm 10.0.0.1', 41);
INSERT INTO pause (connection, mailbox, until, reason) VALUES
	('contoso', '', 253370764800000000, 'operator'),
	('tenants+anna@contoso.test', 'anna@contoso.test', 4102444800000000, 'throttled');
INSERT INTO node (name, lease) VALUES ('old/1', 1767323105000000);
INSERT INTO orphan (id, since, record) VALUES ('000000000000000z', 1767323070000000,
	'{"ID":"000000000000000z","Received":"2026-01-02T03:04:00Z","Size":7,"Envelope":{"from":"anna@contoso.test","to":["x@example.test"]},"Lane":{"connection":"tenants+anna@contoso.test","mailbox":"anna@contoso.test"},"From":"","Sender":"","ReplyTo":"","Signature":"","Subject":"gone","MessageID":"<9@x>","Listener":"visitors","User":"anna@contoso.test","Client":"10.0.0.2","Trace":0,"State":"failed","Due":"2026-01-02T03:04:00Z","Reason":"network","Detail":"","Attempts":2,"Warned":false,"Finished":"2026-01-02T03:04:10Z","Progress":{"Path":"draft","DraftWanted":true,"DraftID":"AAo=","Stray":true,"Attached":1,"UploadURL":"","UploadOffset":0,"SendWanted":"2026-01-02T04:04:05.25+01:00","Settle":"2026-01-02T03:09:05.123456789Z","Accepted":false}}');

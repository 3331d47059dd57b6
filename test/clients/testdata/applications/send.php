<?php
// Sends one message with PHPMailer: send.php SETTINGS SPEC. SETTINGS is what docs/applications.md
// shows, and makes $mail.

require "/usr/share/php/libphp-phpmailer/autoload.php";
require $argv[1];
$spec = json_decode(file_get_contents($argv[2]), true);
$mail->setFrom($spec["from"], $spec["name"]);
foreach ($spec["to"] as $to) {
    $mail->addAddress($to);
}
$mail->addCC($spec["cc"]);
$mail->addBCC($spec["bcc"]);
$mail->Subject = $spec["subject"];
$mail->isHTML(true);
$mail->Body = $spec["html"];
$mail->AltBody = $spec["text"];
$mail->addAttachment($spec["file"]["path"], $spec["file"]["name"], "base64", $spec["file"]["type"]);
$mail->send();

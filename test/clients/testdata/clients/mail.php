<?php
// Sends one message with mail(), as scripts do that write their own MIME: text and names
// in plain UTF-8, and line ends of both kinds.
// mail.php SPEC

$spec = json_decode(file_get_contents($argv[1]), true);
$mark = "=_mail.php";
$body = "--$mark\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" . $spec["text"];
foreach ($spec["files"] as $file) {
    $body .= "\n--$mark\r\nContent-Type: {$file["type"]}; name=\"{$file["name"]}\"\r\nContent-Transfer-Encoding: base64\r\n" .
        "Content-Disposition: attachment; filename=\"{$file["name"]}\"\r\n\r\n" . chunk_split(base64_encode(file_get_contents($file["path"])));
}
$headers = [
    "From" => $spec["from"], "Cc" => implode(", ", $spec["cc"]), "Bcc" => implode(", ", $spec["bcc"]),
    "MIME-Version" => "1.0", "Content-Type" => "multipart/mixed; boundary=\"$mark\"",
];
exit(mail(implode(", ", $spec["to"]), $spec["subject"], "$body\n--$mark--\n", $headers) ? 0 : 1);

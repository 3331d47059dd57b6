// Sends one message with Jakarta Mail: java Send.java FROM NAME TO CC BCC SUBJECT TEXT HTML PATH FILENAME TYPE.
// In place of SETTINGS stands what docs/applications.md shows, which makes session.

import jakarta.activation.*;
import jakarta.mail.*;
import jakarta.mail.internet.*;
import java.util.Properties;

public class Send {
    public static void main(String[] args) throws Exception {
        //SETTINGS
        MimeMessage message = new MimeMessage(session);
        message.setFrom(new InternetAddress(args[0], args[1], "UTF-8"));
        message.setRecipients(Message.RecipientType.TO, InternetAddress.parse(args[2]));
        message.setRecipients(Message.RecipientType.CC, InternetAddress.parse(args[3]));
        message.setRecipients(Message.RecipientType.BCC, InternetAddress.parse(args[4]));
        message.setSubject(args[5], "UTF-8");

        MimeBodyPart text = new MimeBodyPart(), html = new MimeBodyPart(), file = new MimeBodyPart();
        text.setText(args[6], "UTF-8");
        html.setText(args[7], "UTF-8", "html");
        MimeBodyPart both = new MimeBodyPart();
        both.setContent(new MimeMultipart("alternative", text, html));
        file.attachFile(args[8], args[10], "base64");
        file.setFileName(args[9]);
        message.setContent(new MimeMultipart(both, file));
        Transport.send(message);
    }
}

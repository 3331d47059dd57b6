# Sends one message with the mail gem: send.rb SETTINGS SPEC. SETTINGS is what docs/applications.md
# shows.

require 'json'
require 'mail'
load ARGV[0]
spec = JSON.parse(File.read(ARGV[1]))

from = Mail::Address.new(spec['from'])
from.display_name = spec['name']
Mail.deliver do
  from from.format
  to spec['to']
  cc spec['cc']
  bcc spec['bcc']
  subject spec['subject']
  text_part do
    content_type 'text/plain; charset=UTF-8'
    body spec['text']
  end
  html_part do
    content_type 'text/html; charset=UTF-8'
    body spec['html']
  end
  add_file filename: spec['file']['name'], content: File.binread(spec['file']['path'])
end

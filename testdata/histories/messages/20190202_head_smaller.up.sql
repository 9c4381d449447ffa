UPDATE messages.mails SET head = head - 'from' - 'size';

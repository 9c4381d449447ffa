UPDATE messages.labels SET label = 'important' WHERE label = 'IMPORTANT' AND NOT EXISTS (SELECT FROM messages.labels o WHERE o.mail = labels.mail AND o.label = 'important');

REASSIGN OWNED BY bugs_left TO bugs_heir;

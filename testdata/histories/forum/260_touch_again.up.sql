UPDATE forum.members SET about = trim(about) WHERE about <> trim(about);

/* Done by hand on 2022-03-01.
   DELETE FROM accounts.users WHERE mail LIKE '%@spam.example'; */

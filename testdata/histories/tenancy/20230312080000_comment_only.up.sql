/* Became part of
   20230315… */

-- Written by skep to MYSQL_INIT_DIR of the database node. The server runs this file once, in the
-- database MYSQL_DATABASE, if the data directory is empty.
CREATE TABLE notes (
  id INT AUTO_INCREMENT PRIMARY KEY,
  text VARCHAR(200) NOT NULL,
  task VARCHAR(64) NOT NULL
);

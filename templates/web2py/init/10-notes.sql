-- Written by skep to the database node's MYSQL_INIT_DIR; run once, in the database MYSQL_DATABASE, when the data directory is empty.
CREATE TABLE notes (
  id INT AUTO_INCREMENT PRIMARY KEY,
  text VARCHAR(200) NOT NULL,
  task VARCHAR(64) NOT NULL
);

<?php
// Shows the node that answers and the address of the visitor. Behind a balancer, that address is in
// a header that the balancer sets.
$forwarded = filter_var($_SERVER['HTTP_X_FORWARDED_FOR'] ?? '', FILTER_VALIDATE_IP);
$visitor = $forwarded ?: $_SERVER['REMOTE_ADDR'];
?>
<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>nginx and PHP</title></head>
  <body>
    <h1>nginx and PHP <?= PHP_MAJOR_VERSION ?></h1>
    <p>You have reached <?= htmlspecialchars(getenv('NODE') ?: gethostname()) ?>.</p>
    <p>Your address is <?= htmlspecialchars($visitor) ?>.</p>
  </body>
</html>

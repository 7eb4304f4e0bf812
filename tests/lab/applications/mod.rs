//! The five reference systems, each complete from its shipped playbook.

mod guestbook;
mod nginx_php;
mod survey;
mod web2py;
mod wordpress;

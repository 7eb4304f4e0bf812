//! The five reference systems, each complete from its shipped playbook.

mod guestbook;
mod nginx_php;
mod service_parts;
mod survey;
mod web2py;
mod wordpress;

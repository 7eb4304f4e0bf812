//! Load and resolve, from files to bound resources or to errors with places.

mod any_input;
mod bad_inventory;
mod bad_playbook;
mod bad_templates;
mod combinations;
mod command;
mod documented;
mod files;
mod project;
mod resolution;
mod swarm;

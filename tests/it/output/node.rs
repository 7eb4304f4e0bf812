//! `skep node rebuild`: refusals before anything is destroyed. A program in place of Vagrant owns
//! the machines, and would fail if it had to destroy one.

use super::drill::vagrant;
use super::golden_at_both_widths;

#[test]
fn refused() {
    let stage = vagrant(3);
    stage.playbook("{ package = { name = 'curl' } }");
    let rebuild = |name: &str, arguments: &[&str]| {
        golden_at_both_widths(name, |width| {
            stage.skep(
                width,
                &[&["node", "rebuild", "-i", "vagrant:"], arguments].concat(),
            )
        });
    };
    rebuild("rebuild_unknown_host", &["docker09", "site.toml", "--yes"]);
    rebuild(
        "rebuild_host_in_no_play",
        &["docker01", "site.toml", "--yes", "--limit", "workers"],
    );
    rebuild("rebuild_only_manager", &["docker01", "site.toml", "--yes"]);
    rebuild("rebuild_not_confirmed", &["docker03", "site.toml"]);
}

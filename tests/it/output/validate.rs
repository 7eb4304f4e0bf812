//! `skep validate`: all errors of inventory, playbooks and templates at once.

use super::golden_at_both_widths;
use super::stage::Stage;

const INVENTORY: &str = "[hosts.docker01]\naddress = '192.168.56.11'\ngroups = ['managers']\n
[hosts.docker02]\naddress = '192.168.56.12'\ngroups = ['workers']\n";

/// Validates these files.
#[track_caller]
fn golden(name: &str, inventory: &str, playbook: &str) {
    let stage = Stage::new(0);
    stage.write("inventory.toml", inventory);
    stage.write("site.toml", playbook);
    golden_at_both_widths(name, |width| stage.verb(width, "validate", &[]));
}

fn playbook(resources: &str) -> String {
    format!("[[plays]]\nhosts = 'all'\nresources = [\n{resources}\n]\n")
}

#[test]
fn valid() {
    golden(
        "validate_valid",
        INVENTORY,
        &playbook("  { directory = { path = '/srv' } },"),
    );
}

#[test]
fn inventory() {
    golden(
        "validate_inventory",
        "[defaults]\nprot = 22\n\n[hosts.docker01]\naddress = '192.168.56.256'\nport = 'ssh'\nbecome_password = 'hunter2'\n
[hosts.docker02]\nadress = '192.168.56.12'\n\n[hosts.docker02]\nport = 70000\n",
        &playbook(""),
    );
    golden(
        "validate_inventory_values",
        "[defaults]\nprot = 22\n\n[hosts.docker01]\naddress = '192.168.56.256'\nport = 'ssh'\nbecome_password = 5\n
[hosts.docker02]\nadress = '192.168.56.12'\nport = 70000\ngroups = ['worker']\n",
        &playbook(""),
    );
}

#[test]
fn playbook_keys_and_types() {
    golden(
        "validate_playbook",
        INVENTORY,
        "var = {}\n\n[[plays]]\nname = 'Files'\nhosts = 'managers,worker'\nserial = 0\nresources = [
  { simlink = { path = '/a', target = '/b' } },
  { symlink = { pth = '/a', target = '/b' } },
  { symlink = { path = 5, target = '/b' }, wen = 'true' },
  { file = { path = 'relative', content = 'x', mode = 'rwx' } },\n]\n",
    );
}

#[test]
fn templates() {
    golden(
        "validate_templates",
        INVENTORY,
        &playbook(
            "  { symlink = { path = '/home/{{ usr }}/x', target = '/b' } },
  { symlink = { path = '{{ host.name', target = '/b' } },
  { symlink = { path = '/{{ host.name | uper }}', target = '/b' } },
  { file = { path = '/a', template = 'motd.j2' } },",
        ),
    );
}

#[test]
fn several_files() {
    golden(
        "validate_several_files",
        &(INVENTORY.to_owned()
            + "user = 5\n\n[hosts.docker03]\naddress = '192.168.56.13'\ngroups = ['spare']\n"),
        "[[plays]]\nhosts = 'managers:workers'\nresources = [\n  { symlnk = {} },\n  { directory = { path = '/{{ nope }}' } },\n]\n",
    );
}

#[test]
fn missing_files() {
    let stage = Stage::new(0);
    golden_at_both_widths("validate_missing_files", |width| {
        stage.verb(width, "validate", &[])
    });
    golden_at_both_widths("validate_no_inventory", |width| {
        stage.skep(width, &["validate", "site.toml"])
    });
}

#[test]
fn warnings() {
    let stage = Stage::new(0);
    stage.write("inventory.toml", INVENTORY);
    stage.write(
        "site.toml",
        &playbook("  { symlink = { path = '/a', target = '/b' }, tags = ['links'] },"),
    );
    golden_at_both_widths("validate_unknown_tag", |width| {
        stage.verb(width, "validate", &["--tags", "link", "--limit", "docker2"])
    });
}

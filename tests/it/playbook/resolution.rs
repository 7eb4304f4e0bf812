//! Resolution of valid files.

use skep::names::HostName;
use skep::playbook::{PreparedRun, ResourceBinding, sample_facts};

use super::project::{INVENTORY, TestProject, playbook};

/// Returns every resource of a host as `host kind[name]`; a deferred one as `host kind?`.
fn host_resources(prepared: &PreparedRun) -> Vec<String> {
    let plays = prepared.resolved.plays.iter();
    let host_resources = plays.flat_map(|play| {
        play.host_resources
            .iter()
            .flat_map(|(host, host_resources)| {
                host_resources
                    .iter()
                    .map(move |host_resource| (host, host_resource))
            })
    });
    host_resources
        .map(|(host, host_resource)| match &host_resource.resource {
            ResourceBinding::Bound(resource) => format!("{host} {}", resource.id()),
            ResourceBinding::Deferred(deferred) => format!("{host} {}?", deferred.kind()),
        })
        .collect()
}

fn resolved(files: &[(&str, &str)]) -> Vec<String> {
    let project = TestProject::new(files);
    match project.prepare() {
        Ok(prepared) => host_resources(&prepared),
        Err(errors) => panic!("{}", project.shown(&errors)),
    }
}

fn link(path: &str) -> String {
    format!("{{ symlink = {{ path = '{path}', target = '/b' }} }},\n")
}

#[test]
fn stronger_variables_replace_weaker_ones() {
    let names = ["p", "i", "g", "c", "h", "e"];
    let given = |from: usize, layer: &str| -> String {
        names[from..]
            .iter()
            .map(|name| format!("v_{name} = '{layer}'\n"))
            .collect()
    };
    let inventory = format!(
        "[hosts.a]\ngroups = ['child']\n[hosts.a.vars]\n{}[vars]\n{}[groups.parent]\nchildren = ['child']\n[groups.parent.vars]\n{}[groups.child.vars]\n{}",
        given(4, "host"),
        given(1, "inventory"),
        given(2, "group"),
        given(3, "child"),
    );
    let paths: String = names
        .iter()
        .map(|name| link(&format!("/{name}/{{{{ v_{name} }}}}")))
        .collect();
    let text = format!("{}[vars]\n{}", playbook(&paths), given(0, "playbook"));
    let mut project = TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", &text),
    ]);
    project.extra_vars = vec!["v_e=extra".into()];
    assert_eq!(
        host_resources(&project.prepare().unwrap()),
        [
            "a symlink[/p/playbook]",
            "a symlink[/i/inventory]",
            "a symlink[/g/group]",
            "a symlink[/c/child]",
            "a symlink[/h/host]",
            "a symlink[/e/extra]",
        ]
    );
}

#[test]
fn extra_variables_are_parsed_as_toml() {
    let text = playbook(
        &[
            "{ symlink = { path = '/{{ number + 1 }}', target = '/b' }, when = 'flag' },",
            "{ symlink = { path = '/{{ item }}', target = '/b' }, loop = '{{ list }}' },",
            "{ symlink = { path = '/{{ word }}', target = '/b' } },",
            "{ symlink = { path = '/{{ from_file.x }}', target = '/b' } },",
        ]
        .concat(),
    );
    let mut project = TestProject::new(&[
        ("playbooks/site.toml", &text),
        ("vars.toml", "from_file = { x = 'y' }\nword = 'weak'\n"),
    ]);
    project.options.limit = vec!["docker01".into()];
    let file = format!("@{}", project.path("vars.toml").display());
    project.extra_vars = [
        file.as_str(),
        "number=41",
        "flag=true",
        "list=[\"p\", \"q\"]",
        "word=a b",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(
        host_resources(&project.prepare().unwrap()),
        [
            "docker01 symlink[/42]",
            "docker01 symlink[/p]",
            "docker01 symlink[/q]",
            "docker01 symlink[/a b]",
            "docker01 symlink[/y]"
        ]
    );
}

#[test]
fn built_in_template_names() {
    let inventory = INVENTORY.replace("[hosts.docker01]", "[groups.swarm]\nchildren = ['managers', 'workers']\n[hosts.docker01]\nuser = 'root'\nvars = { swarm_address = '10.0.0.1', user = 'ann' }");
    let paths = [
        "/user/{{ user }}/{{ host.user }}",
        "/host/{{ host.name }}/{{ host.address }}/{{ host.groups | join('+') }}",
        "/swarm/{{ host.swarm_address | default('none') }}",
        "/in/{{ hosts_in('swarm:!db') | join('+') }}",
        "/first/{{ hosts_in('managers')[0].swarm_address }}",
        "/groups/{{ groups.db | map(attribute='name') | join }}/{{ groups.all | length }}",
        "/vars/{{ vars.user | default('unset') }}",
    ];
    let text = playbook(
        &paths
            .map(|path| format!("{{ symlink = {{ path = \"{path}\", target = '/b' }} }},\n"))
            .concat(),
    );
    let host_resources = resolved(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", &text),
    ]);
    assert_eq!(
        host_resources[..7],
        [
            "docker01 symlink[/user/ann/root]",
            "docker01 symlink[/host/docker01/192.168.56.11/swarm+managers]",
            "docker01 symlink[/swarm/10.0.0.1]",
            "docker01 symlink[/in/docker01+docker03]",
            "docker01 symlink[/first/10.0.0.1]",
            "docker01 symlink[/groups/docker02/3]",
            "docker01 symlink[/vars/ann]",
        ]
    );
    assert_eq!(host_resources[7], "docker02 symlink[/user/vagrant/vagrant]");
    assert_eq!(host_resources[9], "docker02 symlink[/swarm/none]");
    assert_eq!(host_resources[13], "docker02 symlink[/vars/unset]");
}

#[test]
fn lone_expression_keeps_its_type() {
    let text = format!(
        "{}[vars]\ntable = {{ path = '/t', target = '/b' }}\nnothing = '{{{{ none }}}}'\n",
        playbook(
            "{ symlink = '{{ table }}' },\n{ symlink = { path = '/o', target = '/b', force = '{{ none }}' } }"
        )
    );
    let host_resources = resolved(&[("playbooks/site.toml", &text)]);
    assert_eq!(
        host_resources[..2],
        ["docker01 symlink[/t]", "docker01 symlink[/o]"]
    );
}

#[test]
fn when_skips_resources_and_plays() {
    let text = "[[plays]]\nhosts = 'all'\nwhen = \"'workers' in host.groups\"\nresources = [\n  { symlink = { path = '/a', target = '/b' } },\n  { symlink = { path = '/db', target = '/b' }, when = \"{{ 'db' in host.groups }}\" },\n  { symlink = { path = '/never', target = '{{ undefined_here }}' }, when = false },\n]\n";
    assert_eq!(
        resolved(&[("playbooks/site.toml", text)]),
        [
            "docker02 symlink[/a]",
            "docker02 symlink[/db]",
            "docker03 symlink[/a]"
        ]
    );
}

#[test]
fn resources_with_facts_are_deferred() {
    let inventory = INVENTORY.replace(
        "[defaults]",
        "[vars]\nindirect = '{{ facts.codename }}'\n[defaults]",
    );
    let text = playbook(
        "{ symlink = { path = '/{{ indirect }}', target = '/b' } },\n{ symlink = { path = '/{{ item }}', target = '/b' }, loop = '{{ facts.addresses }}' },\n{ symlink = { path = '/c', target = '/b' }, when = \"facts.id == 'debian'\" },\n{ symlink = { path = '/d', target = '/b' } },",
    );
    let mut project = TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", &text),
    ]);
    project.options.limit = vec!["docker01".into()];
    let prepared = project.prepare().unwrap();
    assert_eq!(
        host_resources(&prepared),
        [
            "docker01 symlink?",
            "docker01 symlink?",
            "docker01 symlink?",
            "docker01 symlink[/d]"
        ]
    );
    let play = &prepared.resolved.plays[0];
    let bind = |release: &str| -> Vec<String> {
        let sample = sample_facts("docker01", "10.0.0.9")
            .into_iter()
            .find(|sample| sample.release == release)
            .unwrap();
        let deferred = play.host_resources[&HostName::new("docker01")]
            .iter()
            .filter_map(|host_resource| match &host_resource.resource {
                ResourceBinding::Deferred(deferred) => Some(deferred.bind(&sample.facts).unwrap()),
                ResourceBinding::Bound(_) => None,
            });
        deferred.flatten().map(|resource| resource.id()).collect()
    };
    assert_eq!(
        bind("Ubuntu 26.04"),
        ["symlink[/resolute]", "symlink[/10.0.0.9]"]
    );
    assert_eq!(
        bind("Debian 12"),
        ["symlink[/bookworm]", "symlink[/10.0.0.9]", "symlink[/c]"]
    );
}

#[test]
fn deferred_resources_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<ResourceBinding>();
    crosses::<PreparedRun>();
}

#[test]
fn includes_run_first_and_once_with_tags_and_variables() {
    let project = TestProject::new(&[
        (
            "playbooks/site.toml",
            "include = [{ file = 'a.toml', tags = ['base'] }, 'sub/b.toml']\n[vars]\nname = 'site'\n[[plays]]\nhosts = 'managers'\nresources = [{ symlink = { path = '/site', target = '/b' } }]\n",
        ),
        (
            "playbooks/a.toml",
            "[vars]\nname = 'a'\nown = 'kept'\n[[plays]]\nhosts = 'all'\nresources = [{ symlink = { path = '/a/{{ name }}/{{ own }}', target = '/b' } }]\n",
        ),
        (
            "playbooks/sub/b.toml",
            "include = ['../a.toml']\n[[plays]]\nhosts = 'db'\nresources = [{ symlink = { path = '/b', target = '/b' } }]\n",
        ),
    ]);
    let prepared = project.prepare().unwrap();
    assert_eq!(
        host_resources(&prepared),
        [
            "docker01 symlink[/a/site/kept]",
            "docker02 symlink[/a/site/kept]",
            "docker03 symlink[/a/site/kept]",
            "docker02 symlink[/b]",
            "docker01 symlink[/site]",
        ]
    );
    assert_eq!(
        prepared.resolved.plays[0].host_resources[0][0].tags,
        ["base"]
    );
}

#[test]
fn tags_choose_resources() {
    let text = "[[plays]]\nhosts = 'managers'\ntags = ['play']\nresources = [\n  { symlink = { path = '/one', target = '/b' }, tags = ['one'] },\n  { symlink = { path = '/two', target = '/b' }, tags = 'two' },\n  { symlink = { path = '/always', target = '/b' }, tags = ['always'] },\n]\n[[plays]]\nhosts = 'all'\nresources = [{ symlink = { path = '/rest', target = '/b' } }]\n";
    let mut project = TestProject::new(&[("playbooks/site.toml", text)]);
    project.options.tags = vec!["one".into()];
    assert_eq!(
        host_resources(&project.prepare().unwrap()),
        ["docker01 symlink[/one]", "docker01 symlink[/always]"]
    );
    project.options.tags = vec!["play".into()];
    project.options.skip_tags = vec!["two".into()];
    assert_eq!(
        host_resources(&project.prepare().unwrap()),
        ["docker01 symlink[/one]", "docker01 symlink[/always]"]
    );
}

#[test]
fn plays_keep_their_order_settings_and_places() {
    let text = "[[plays]]\nname = 'First'\nhosts = ['db', 'docker01']\nserial = 2\nmax_fail = 0\nresources = [\n  { symlink = { path = '/a', target = '/b' } },\n]\n[[plays]]\nhosts = 'workers'\nresources = []\n";
    let prepared = TestProject::new(&[("playbooks/site.toml", text)])
        .prepare()
        .unwrap();
    let [first, second] = prepared.resolved.plays.as_slice() else {
        panic!()
    };
    assert_eq!(
        (first.name.as_str(), first.serial, first.max_fail),
        ("First", Some(2), Some(0))
    );
    assert_eq!(
        first.hosts,
        [HostName::new("docker01"), HostName::new("docker02")]
    );
    assert!(
        first.host_resources[0][0]
            .place
            .to_string()
            .ends_with("playbooks/site.toml:7:5")
    );
    assert_eq!(
        (second.name.as_str(), second.serial, second.max_fail),
        ("workers", None, None)
    );
    assert_eq!(second.host_resources.len(), 2);
}

#[test]
fn conflicting_duplicate_resource_is_a_warning() {
    let text = playbook(
        "{ symlink = { path = '/a', target = '/b' } },\n{ symlink = { path = '/a', target = '/b' } },\n{ symlink = { path = '/a', target = '/c' } },",
    );
    let project = TestProject::new(&[("playbooks/site.toml", &text)]);
    let warnings = project.prepare().unwrap().resolved.warnings;
    assert_eq!(
        project.lines(&warnings),
        [
            "playbooks/site.toml:6:3: symlink[/a] is given twice with different content; each run would switch between the two; keep one of them"
        ]
    );
}

#[test]
fn cluster_resource_keeps_its_delegate_with_limit() {
    let text = "[[plays]]\nhosts = 'all'\nresources = [\n{ symlink = { path = '/a', target = '/b' } },\n\
                { network = { name = 'back' } },\n{ network = { name = 'of-{{ facts.hostname }}' } },\n]\n";
    let mut project = TestProject::new(&[("playbooks/site.toml", text)]);
    assert_eq!(
        host_resources(&project.prepare().unwrap()),
        [
            "docker01 symlink[/a]",
            "docker01 network[back]",
            "docker01 network?",
            "docker02 symlink[/a]",
            "docker03 symlink[/a]"
        ]
    );
    // Another host never takes over resources of the first: two runs would change them at once.
    project.options.limit = vec!["docker02".into()];
    assert_eq!(
        host_resources(&project.prepare().unwrap()),
        ["docker02 symlink[/a]"]
    );
}

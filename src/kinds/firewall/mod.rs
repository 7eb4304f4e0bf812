//! `firewall`: rules of ufw on hosts where ufw is enabled. They open the swarm's own ports to its
//! nodes alone, and published ports to everybody. skep never enables or disables ufw, and keeps the
//! rules of others about other ports.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;

use super::cluster::default_managers;
use crate::kinds::firewall::rules::{FirewallRule, LiveRule};
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, PathState,
    ProbeError, Query, Refusal, ResourceKind, Step,
};
use crate::swarm::host_part;

const CONFIGURATION: &str = "/etc/ufw/ufw.conf";
const RULES: &str = "/etc/ufw/user.rules";
const RULES_6: &str = "/etc/ufw/user6.rules";

/// Ports between nodes, for gossip and overlay traffic. Managers also use 2377 (Docker's
/// documentation, "Open protocols and ports").
const BETWEEN: &[(&str, &str)] = &[("7946", "tcp"), ("7946", "udp"), ("4789", "udp")];
const MANAGEMENT: (&str, &str) = ("2377", "tcp");

/// Connections that ufw allows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallResource {
    /// Ports that are open to everybody: `"80/tcp"`, `"53/udp"`. Default: empty.
    #[serde(default)]
    published: Vec<String>,
    /// Groups whose hosts are nodes of the swarm. Default `managers` and `workers`.
    #[serde(default = "default_nodes")]
    nodes: Vec<String>,
    /// Group of the managers. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    #[serde(skip)]
    wanted: BTreeSet<FirewallRule>,
}

fn default_nodes() -> Vec<String> {
    vec!["managers".into(), "workers".into()]
}
/// Observed state of ufw.
#[derive(Debug)]
pub struct FirewallState {
    enabled: bool,
    rows: Vec<LiveRule>,
}

impl ResourceKind for FirewallResource {
    const NAME: &'static str = "firewall";
    type Observed = FirewallState;

    fn name(&self) -> String {
        "ufw".into()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        let mut ports = BETWEEN.to_vec();
        if context
            .roster
            .group(&self.managers)
            .any(|host| host == context.host)
        {
            ports.push(MANAGEMENT);
        }
        let names: BTreeSet<_> = self
            .nodes
            .iter()
            .flat_map(|group| context.roster.group(group))
            .collect();
        if names.is_empty() {
            return Err(InvalidField::new(
                "nodes",
                format!("no host is in the groups {}", self.nodes.join(", ")),
            ));
        }
        for name in names.into_iter().filter(|name| *name != context.host) {
            let Some(entry) = context.roster.hosts.get(name) else {
                continue;
            };
            let address = entry
                .swarm_address
                .clone()
                .unwrap_or_else(|| entry.address.clone());
            let Ok(address) = host_part(&address).parse::<IpAddr>() else {
                return Err(InvalidField::new(
                    "nodes",
                    format!("the address of {name} is {address}, not an IP address"),
                )
                .hint("set the variable swarm_address of that host"));
            };
            for (port, protocol) in &ports {
                let (protocol, port) = ((*protocol).to_owned(), (*port).to_owned());
                self.wanted.insert(FirewallRule {
                    protocol,
                    port,
                    from: address.to_string(),
                });
            }
        }
        for text in &self.published {
            let row = text
                .split_once('/')
                .filter(|(_, protocol)| matches!(*protocol, "tcp" | "udp"));
            let row = row.and_then(|(port, protocol)| {
                Some((port.parse::<u16>().ok().filter(|port| *port > 0)?, protocol))
            });
            let Some((port, protocol)) = row else {
                return Err(InvalidField::new(
                    "published",
                    format!("{text:?} is not PORT/tcp or PORT/udp"),
                ));
            };
            if is_of_the_swarm(&port.to_string(), protocol) {
                return Err(InvalidField::new(
                    "published",
                    format!("{text} is a port of the swarm itself, which only its nodes may use"),
                ));
            }
            self.wanted.insert(FirewallRule {
                protocol: protocol.into(),
                port: port.to_string(),
                from: "any".into(),
            });
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        [CONFIGURATION, RULES, RULES_6]
            .into_iter()
            .map(Query::content)
            .collect()
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<FirewallState>, ProbeError> {
        let text = |path: &str| -> Result<String, ProbeError> {
            let content = answers
                .path(path)?
                .and_then(|file: &PathState| file.content.as_deref());
            Ok(content
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .unwrap_or_default())
        };
        let mut rows = rules::read(&text(RULES)?);
        for row in rules::read(&text(RULES_6)?) {
            // ufw writes a rule for everybody into both files.
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        Ok(Observation::Known(FirewallState {
            enabled: rules::enabled(&text(CONFIGURATION)?),
            rows,
        }))
    }

    fn plan(&self, seen: &FirewallState) -> Result<Option<Change>, Refusal> {
        if !seen.enabled {
            return Ok(None);
        }
        let mut change = Change::new(Action::Update);
        let words = |row: &FirewallRule| format!("{}/{} from {}", row.port, row.protocol, row.from);
        for row in self
            .wanted
            .iter()
            .filter(|row| !seen.rows.iter().any(|live| live.row == **row))
        {
            change = change
                .field(
                    words(row),
                    DisplayValue::Absent,
                    DisplayValue::text("allowed"),
                )
                .step(step("allow", ALLOW, row));
        }
        for live in &seen.rows {
            let stale = live.ours && !self.wanted.contains(&live.row);
            let wide = is_of_the_swarm(&live.row.port, &live.row.protocol)
                && !self.wanted.contains(&live.row);
            if stale || wide {
                change = change
                    .field(
                        words(&live.row),
                        DisplayValue::text("allowed"),
                        DisplayValue::Absent,
                    )
                    .step(step("no longer allow", DELETE, &live.row));
            }
        }
        Ok((!change.fields.is_empty()).then_some(change))
    }

    fn inventory_inputs(&self) -> String {
        format!("{:?}", self.wanted)
    }
}

const ALLOW: &str =
    "ufw allow proto \"$1\" from \"$2\" to any port \"$3\" comment skep >/dev/null\n";
const DELETE: &str = "if [ \"$1\" = any ]; then ufw delete allow from \"$2\" to any port \"$3\" >/dev/null\n\
else ufw delete allow proto \"$1\" from \"$2\" to any port \"$3\" >/dev/null; fi\n";

fn step(what: &str, script: &'static str, row: &FirewallRule) -> Step {
    let summary = format!("{what} {}/{} from {}", row.port, row.protocol, row.from);
    Step::script(
        summary,
        script,
        [row.protocol.clone(), row.from.clone(), row.port.clone()],
    )
}

/// Returns true if a rule opens one of the swarm's own ports. A rule for the protocol `any` opens
/// both protocols.
fn is_of_the_swarm(port: &str, protocol: &str) -> bool {
    let all = BETWEEN.iter().chain(std::iter::once(&MANAGEMENT));
    all.into_iter()
        .any(|(own, of)| *own == port && (*of == protocol || protocol == "any"))
}

//! Maintenance that is due on a host: a reboot, an Engine with a known fix, security updates. Pure.

use crate::model::{DisplayValue, FieldChange, PackageUpdate, RebootState};
use crate::names::{HostName, short_list};
use crate::swarm::EngineFacts;

/// Number of packages that are named.
const NAMED: usize = 5;

/// State of one host, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostUpkeep {
    /// Reasons for a reboot.
    pub reboot: Option<RebootState>,
    /// Version of the running Engine; empty if it was not read.
    pub engine: String,
    /// Updates of packages; `None` if they were not asked for.
    pub updates: Option<Vec<PackageUpdate>>,
}

impl HostUpkeep {
    /// Returns what is due, and the commands that do it.
    pub(super) fn due(
        &self,
        host: &HostName,
        facts: &EngineFacts,
    ) -> (Vec<FieldChange>, Vec<String>) {
        let (mut fields, mut remedies) = (Vec::new(), Vec::new());
        let mut add = |field: &str, before: String, after: &str| {
            fields.push(FieldChange {
                field: field.to_owned(),
                before: DisplayValue::text(before),
                after: DisplayValue::text(after),
            });
        };
        if let Some(reason) = self.reboot.as_ref().and_then(RebootState::reason) {
            add("reboot", format!("due: {reason}"), "not due");
            remedies.push(format!(
                "`skep node reboot {host}` drains the node and reboots it"
            ));
        }
        let fixes = facts.missing_fixes(&self.engine);
        if !fixes.is_empty() {
            add("Docker Engine", self.engine.clone(), &fixes.join("; "));
            remedies
                .push("`skep upgrade PLAYBOOK --engine VERSION` installs another version".into());
        }
        let updates = self.updates.iter().flatten();
        let names: Vec<&str> = updates
            .filter(|update| update.is_security)
            .map(|update| update.name.as_str())
            .collect();
        if !names.is_empty() {
            let waiting = format!("waiting: {}", short_list(names, NAMED));
            add("security updates", waiting, "installed");
            remedies.push("`skep upgrade PLAYBOOK --os --reboot` installs them".into());
        }
        (fields, remedies)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn due_maintenance_and_its_commands() {
        let facts = EngineFacts::built_in().unwrap();
        let due = |upkeep: &HostUpkeep| {
            let (fields, remedies) = upkeep.due(&HostName::new("web"), &facts);
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {:?}", field.field, field.before))
                .collect();
            (fields, remedies.len())
        };
        let mut upkeep = HostUpkeep {
            reboot: Some(RebootState::default()),
            engine: "29.8.2".into(),
            updates: Some(Vec::new()),
        };
        assert_eq!(due(&upkeep), (vec![], 0));
        assert_eq!(due(&HostUpkeep::default()), (vec![], 0));
        upkeep.reboot = Some(RebootState {
            is_requested: true,
            ..RebootState::default()
        });
        upkeep.engine = "29.8.1".into();
        let update = |name: &str, is_security| PackageUpdate {
            name: name.into(),
            from: "1".into(),
            to: "2".into(),
            is_security,
        };
        let mut updates = vec![update("vim", false)];
        upkeep.updates = Some(updates.clone());
        assert_eq!(due(&upkeep).0.len(), 2, "an ordinary update is no finding");
        updates.extend(["a", "b", "c", "d", "e", "f", "g"].map(|name| update(name, true)));
        upkeep.updates = Some(updates);
        let (fields, remedies) = due(&upkeep);
        assert_eq!((fields.len(), remedies), (3, 3));
        assert!(
            fields[2].contains("a, b, c, d, e and 2 others"),
            "{fields:?}"
        );
    }
}

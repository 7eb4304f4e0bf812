//! `network`: an overlay network of the swarm. The Engine cannot change a network, and a difference
//! is refused unless `replace = true` is set, which recreates the network if no service uses it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::{Value, json};

use super::DesiredState;
use super::cluster::{
    ClusterSite, ClusterState, check_object_name, default_managers, named, request,
};
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, Operation,
    ProbeError, Query, Refusal, ResourceKind, ResourceScope, STEP_TIMEOUT, Step, WaitForValue,
};
use crate::names::HostName;

/// An overlay network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkResource {
    /// Name of the network.
    name: String,
    /// Subnet, e.g. `10.20.0.0/24`. Default: the Engine takes a subnet from the swarm's pools.
    subnet: Option<Ipv4Net>,
    /// Address of the gateway in the subnet. Default: the Engine takes the first address.
    gateway: Option<Ipv4Addr>,
    /// Allow containers outside services to join. Default `false`.
    #[serde(default)]
    attachable: bool,
    /// Encrypt the traffic between nodes (IPsec). Default `false`.
    #[serde(default)]
    encrypted: bool,
    /// Block traffic out of the cluster. Default `false`.
    #[serde(default)]
    internal: bool,
    /// Labels; other existing labels stay.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Recreate the network if it differs. Default `false`: a difference is refused.
    #[serde(default)]
    replace: bool,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: DesiredState,
    /// Group whose hosts manage the swarm. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    #[serde(skip)]
    site: ClusterSite,
}

/// A network as `GET /networks` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNetwork {
    id: String,
    driver: String,
    subnets: Vec<String>,
    gateway: Option<String>,
    attachable: bool,
    encrypted: bool,
    internal: bool,
    labels: BTreeMap<String, String>,
}

impl ResourceKind for NetworkResource {
    const NAME: &'static str = "network";
    const SCOPE: ResourceScope = ResourceScope::Cluster;
    type Observed = ClusterState<Option<LiveNetwork>>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        check_object_name("name", &self.name, 63)?;
        if let (Some(gateway), Some(subnet)) = (self.gateway, self.subnet)
            && !subnet.contains(&gateway)
        {
            return Err(InvalidField::new(
                "gateway",
                format!("{gateway} is not in the subnet {subnet}"),
            ));
        }
        if self.gateway.is_some() && self.subnet.is_none() {
            return Err(InvalidField::new("gateway", "a gateway needs its `subnet`")
                .hint("add subnet = \"10.20.0.0/24\""));
        }
        if let Some(subnet) = self.subnet.filter(|subnet| subnet.trunc() != *subnet) {
            return Err(
                InvalidField::new("subnet", format!("{subnet} has host bits set"))
                    .hint(format!("write subnet = \"{}\"", subnet.trunc())),
            );
        }
        self.site = ClusterSite::of(context, &self.managers)?;
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        self.site.queries(&[named("/networks", &self.name)])
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let find = |bodies: &[Value]| {
            bodies
                .first()
                .and_then(|list| LiveNetwork::find(list, &self.name))
        };
        self.site
            .observe(&[named("/networks", &self.name)], answers, find)
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match (observed, self.state) {
            (ClusterState::Refused(refusal), _) => Err(refusal.clone()),
            (ClusterState::NoSwarm | ClusterState::Live(None, _), DesiredState::Absent) => Ok(None),
            (ClusterState::NoSwarm, DesiredState::Present) => {
                let step = Step::known_after_apply(format!(
                    "create network {}, once there is a swarm",
                    self.name
                ));
                Ok(Some(self.creation().step(step)))
            }
            (ClusterState::Live(None, managers), DesiredState::Present) => Ok(Some(
                self.creation()
                    .step(self.create(managers))
                    .step(self.allocated(managers)),
            )),
            (ClusterState::Live(Some(live), managers), DesiredState::Absent) => {
                let change = Change::new(Action::Delete).field(
                    "network",
                    DisplayValue::text(&self.name),
                    DisplayValue::Absent,
                );
                Ok(Some(change.step(self.remove(live, managers))))
            }
            (ClusterState::Live(Some(live), managers), DesiredState::Present) => {
                self.compare(live, managers)
            }
        }
    }
}

impl NetworkResource {
    fn compare(
        &self,
        live: &LiveNetwork,
        managers: &[HostName],
    ) -> Result<Option<Change>, Refusal> {
        let mut change = Change::new(Action::Update);
        for (field, before, after) in self.fields(live) {
            if before != after {
                change = change.field(field, before, after);
            }
        }
        if change.fields.is_empty() {
            return Ok(None);
        }
        if !self.replace {
            let fields: Vec<&str> = change
                .fields
                .iter()
                .map(|field| field.field.as_str())
                .collect();
            return Err(Refusal {
                why: format!("the network {} differs ({}), and a network cannot be changed", self.name, fields.join(", ")),
                hint: "set replace = true to recreate it (no service may use it then), or give the new network another name".into(),
            });
        }
        Ok(Some(
            change
                .step(self.remove(live, managers))
                .step(self.create(managers))
                .step(self.allocated(managers)),
        ))
    }

    /// Returns the compared fields: name, live value and wanted value.
    fn fields(&self, live: &LiveNetwork) -> Vec<(String, DisplayValue, DisplayValue)> {
        let yes = |value: bool| DisplayValue::text(if value { "yes" } else { "no" });
        let mut fields = vec![
            (
                "driver".to_owned(),
                DisplayValue::text(&live.driver),
                DisplayValue::text("overlay"),
            ),
            (
                "attachable".to_owned(),
                yes(live.attachable),
                yes(self.attachable),
            ),
            (
                "encrypted".to_owned(),
                yes(live.encrypted),
                yes(self.encrypted),
            ),
            (
                "internal".to_owned(),
                yes(live.internal),
                yes(self.internal),
            ),
        ];
        if let Some(subnet) = self.subnet {
            fields.push((
                "subnet".to_owned(),
                DisplayValue::text(live.subnets.join(", ")),
                DisplayValue::text(subnet.to_string()),
            ));
        }
        if let Some(gateway) = self.gateway {
            let before = live
                .gateway
                .as_ref()
                .map_or(DisplayValue::Absent, DisplayValue::text);
            fields.push((
                "gateway".to_owned(),
                before,
                DisplayValue::text(gateway.to_string()),
            ));
        }
        for (key, value) in &self.labels {
            let before = live
                .labels
                .get(key)
                .map_or(DisplayValue::Absent, DisplayValue::text);
            fields.push((format!("label {key}"), before, DisplayValue::text(value)));
        }
        fields
    }

    /// Returns the change for a network that does not exist yet, without its steps.
    fn creation(&self) -> Change {
        let none = LiveNetwork {
            id: String::new(),
            driver: String::new(),
            subnets: Vec::new(),
            gateway: None,
            attachable: false,
            encrypted: false,
            internal: false,
            labels: BTreeMap::new(),
        };
        let mut change = Change::new(Action::Create).field(
            "network",
            DisplayValue::Absent,
            DisplayValue::text(&self.name),
        );
        for (field, before, after) in self.fields(&none) {
            if before != after && field != "driver" {
                change = change.field(field, DisplayValue::Absent, after);
            }
        }
        change
    }

    fn create(&self, managers: &[HostName]) -> Step {
        let mut body = json!({
            "Name": self.name, "Driver": "overlay", "CheckDuplicate": true, "Attachable": self.attachable,
            "Internal": self.internal, "Labels": self.labels, "Options": {},
        });
        if self.encrypted {
            body["Options"]["encrypted"] = "".into();
        }
        if let Some(subnet) = self.subnet {
            let mut config = json!({ "Subnet": subnet.to_string() });
            if let Some(gateway) = self.gateway {
                config["Gateway"] = gateway.to_string().into();
            }
            body["IPAM"] = json!({ "Driver": "default", "Config": [config] });
        }
        request(
            format!("create network {}", self.name),
            managers,
            "POST",
            "/networks/create".into(),
            Some(body),
        )
    }

    /// Returns the step that waits for the allocation. The Engine answers before the network has
    /// its driver and subnet; until then the network reads as a different network.
    fn allocated(&self, managers: &[HostName]) -> Step {
        let wait = WaitForValue {
            managers: managers.to_vec(),
            path: format!("/networks/{}?scope=swarm", self.name),
            pointer: "/Driver".into(),
            equals: "overlay".into(),
            deadline: STEP_TIMEOUT,
        };
        Step {
            summary: format!("wait until network {} is allocated", self.name),
            act: Operation::Wait(wait),
        }
    }

    fn remove(&self, live: &LiveNetwork, managers: &[HostName]) -> Step {
        request(
            format!("remove network {}", self.name),
            managers,
            "DELETE",
            format!("/networks/{}", live.id),
            None,
        )
    }
}

impl LiveNetwork {
    /// Returns the swarm's network of this name. A network of a single node may have the same name
    /// and is ignored.
    fn find(list: &Value, name: &str) -> Option<Self> {
        let text = |value: &Value, key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let one = list
            .as_array()?
            .iter()
            .find(|one| text(one, "Name") == name && text(one, "Scope") == "swarm")?;
        let flag = |key: &str| one.get(key).and_then(Value::as_bool).unwrap_or(false);
        let pools = one
            .pointer("/IPAM/Config")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let labels = one.get("Labels").cloned().unwrap_or_default();
        Some(Self {
            id: text(one, "Id"),
            driver: text(one, "Driver"),
            subnets: pools
                .iter()
                .map(|pool| text(pool, "Subnet"))
                .filter(|subnet| !subnet.is_empty())
                .collect(),
            gateway: pools
                .first()
                .map(|pool| text(pool, "Gateway"))
                .filter(|gateway| !gateway.is_empty()),
            attachable: flag("Attachable"),
            encrypted: one.pointer("/Options/encrypted").is_some(),
            internal: flag("Internal"),
            labels: serde_json::from_value(labels).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;

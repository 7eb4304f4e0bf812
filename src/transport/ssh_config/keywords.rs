//! The keywords of `ssh_config(5)` and the forms of their values, as OpenSSH's readconf.c has them.
//! Without `ssh`, skep uses them to refuse the lines that `ssh` would refuse: a mistyped `Host`
//! would otherwise give the settings below it to every host.

/// Form of the value of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueForm {
    /// Takes one argument.
    Text,
    /// Takes one argument, which is one of these words in any case.
    Words(&'static [&'static str]),
    Number,
    Port,
    Time,
    /// Any number of arguments.
    List,
    /// The rest of the line.
    Rest,
    /// `ssh` reads over it: an option of older versions, or one that was not compiled in.
    Unread,
}

use ValueForm::{List, Number, Port, Rest, Text, Time, Unread, Words};

const FLAG: ValueForm = Words(&["yes", "no", "true", "false"]);
const FLAG_OR_ASK: ValueForm = Words(&["yes", "no", "true", "false", "ask"]);

const FORMS: &[(&str, ValueForm)] = &[
    ("addkeystoagent", List),
    ("addressfamily", Words(&["inet", "inet6", "any"])),
    ("afstokenpassing", Unread),
    ("batchmode", FLAG),
    ("bindaddress", Text),
    ("bindinterface", Text),
    ("canonicaldomains", List),
    ("canonicalizefallbacklocal", FLAG),
    (
        "canonicalizehostname",
        Words(&["yes", "no", "true", "false", "always"]),
    ),
    ("canonicalizemaxdots", Number),
    ("canonicalizepermittedcnames", List),
    ("casignaturealgorithms", Text),
    ("certificatefile", Text),
    ("channeltimeout", List),
    ("checkhostip", FLAG),
    ("cipher", Unread),
    ("ciphers", Text),
    ("clearallforwardings", FLAG),
    ("compression", Words(&["yes", "no"])),
    ("compressionlevel", Unread),
    ("connectionattempts", Number),
    ("connecttimeout", Time),
    (
        "controlmaster",
        Words(&["yes", "no", "true", "false", "auto", "ask", "autoask"]),
    ),
    ("controlpath", Text),
    ("controlpersist", Text),
    ("dynamicforward", Text),
    ("enableescapecommandline", FLAG),
    ("enablesshkeysign", FLAG),
    ("escapechar", Text),
    ("exitonforwardfailure", FLAG),
    ("fallbacktorsh", Unread),
    ("fingerprinthash", Text),
    ("forkafterauthentication", FLAG),
    ("forwardagent", Text),
    ("forwardx11", FLAG),
    ("forwardx11timeout", Time),
    ("forwardx11trusted", FLAG),
    ("gatewayports", FLAG),
    ("globalknownhostsfile", List),
    ("globalknownhostsfile2", Unread),
    ("gssapiauthentication", Unread),
    ("gssapiclientidentity", Unread),
    ("gssapidelegatecredentials", Unread),
    ("gssapikexalgorithms", Unread),
    ("gssapikeyexchange", Unread),
    ("gssapirenewalforcesrekey", Unread),
    ("gssapiserveridentity", Unread),
    ("gssapitrustdns", Unread),
    ("hashknownhosts", FLAG),
    ("hostbasedacceptedalgorithms", Text),
    ("hostbasedauthentication", FLAG),
    ("hostkeyalgorithms", Text),
    ("hostkeyalias", Text),
    ("hostname", Text),
    ("identitiesonly", FLAG),
    ("identityagent", Text),
    ("identityfile", Text),
    ("ignoreunknown", Text),
    ("ipqos", List),
    ("kbdinteractiveauthentication", FLAG),
    ("kbdinteractivedevices", Text),
    ("kerberosauthentication", Unread),
    ("kerberostgtpassing", Unread),
    ("kexalgorithms", Text),
    ("knownhostscommand", Rest),
    ("localcommand", Rest),
    ("localforward", List),
    (
        "loglevel",
        Words(&[
            "quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3",
        ]),
    ),
    ("logverbose", List),
    ("macs", Text),
    ("nohostauthenticationforlocalhost", FLAG),
    ("numberofpasswordprompts", Number),
    ("obscurekeystroketiming", Text),
    ("passwordauthentication", FLAG),
    ("permitlocalcommand", FLAG),
    ("permitremoteopen", List),
    ("pkcs11provider", Text),
    ("port", Port),
    ("preferredauthentications", Text),
    ("protocol", Unread),
    ("protocolkeepalives", Unread),
    ("proxycommand", Rest),
    ("proxyjump", Text),
    ("proxyusefdpass", FLAG),
    ("pubkeyacceptedalgorithms", Text),
    (
        "pubkeyauthentication",
        Words(&["yes", "no", "true", "false", "unbound", "host-bound"]),
    ),
    ("refuseconnection", Rest),
    ("rekeylimit", List),
    ("remotecommand", Rest),
    ("remoteforward", List),
    (
        "requesttty",
        Words(&["yes", "no", "true", "false", "force", "auto"]),
    ),
    ("requiredrsasize", Number),
    ("revokedhostkeys", List),
    ("rhostsauthentication", Unread),
    ("rhostsrsaauthentication", Unread),
    ("rsaauthentication", Unread),
    ("securitykeyprovider", Text),
    ("sendenv", List),
    ("serveralivecountmax", Number),
    ("serveraliveinterval", Time),
    ("sessiontype", Words(&["none", "subsystem", "default"])),
    ("setenv", List),
    ("setuptimeout", Unread),
    ("smartcarddevice", Unread),
    ("stdinnull", FLAG),
    ("streamlocalbindmask", Text),
    ("streamlocalbindunlink", FLAG),
    (
        "stricthostkeychecking",
        Words(&["yes", "no", "true", "false", "ask", "off", "accept-new"]),
    ),
    ("syslogfacility", Text),
    ("tag", Text),
    ("tcpkeepalive", FLAG),
    (
        "tunnel",
        Words(&["yes", "no", "true", "false", "point-to-point", "ethernet"]),
    ),
    ("tunneldevice", Text),
    ("updatehostkeys", FLAG_OR_ASK),
    ("useprivilegedport", Unread),
    ("user", Text),
    ("userknownhostsfile", List),
    ("userknownhostsfile2", Unread),
    ("useroaming", Unread),
    ("usersh", Unread),
    ("verifyhostkeydns", FLAG_OR_ASK),
    ("versionaddendum", Rest),
    ("visualhostkey", FLAG),
    ("warnweakcrypto", List),
    ("xauthlocation", Text),
];

/// Returns the present name of a keyword that has an older one.
pub(super) fn present_name(keyword: &str) -> &str {
    match keyword {
        "challengeresponseauthentication" | "skeyauthentication" | "tisauthentication" => {
            "kbdinteractiveauthentication"
        }
        "dsaauthentication" => "pubkeyauthentication",
        "hostbasedkeytypes" => "hostbasedacceptedalgorithms",
        "identityfile2" => "identityfile",
        "keepalive" => "tcpkeepalive",
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms",
        keyword => keyword,
    }
}

/// Returns the form of a keyword's value, or `None` for a keyword that `ssh` does not have.
pub(super) fn form(keyword: &str) -> Option<ValueForm> {
    FORMS
        .iter()
        .find(|(name, _)| *name == keyword)
        .map(|(_, form)| *form)
}

/// Checks the arguments of a keyword.
///
/// # Errors
/// The reason for which `ssh` would refuse them.
pub(super) fn check(keyword: &str, form: ValueForm, arguments: &[String]) -> Result<(), String> {
    let one = match form {
        List | Rest | Unread => return Ok(()),
        _ => match arguments {
            [one] => one.as_str(),
            [] => return Err(format!("{keyword} has no argument")),
            _ => return Err(format!("{keyword} has more than one argument")),
        },
    };
    let is_valid = match form {
        Words(words) => words.contains(&one.to_ascii_lowercase().as_str()),
        Number => one.parse::<i32>().is_ok(),
        Port => matches!(one.parse::<u16>(), Ok(1..)),
        Time => one == "none" || seconds(one).is_some(),
        _ => true,
    };
    if is_valid {
        return Ok(());
    }
    Err(match form {
        Words(_) => format!("{keyword}: unsupported option `{one}`"),
        Port => format!("{keyword}: `{one}` is not a port"),
        Time => format!("{keyword}: `{one}` is not a time"),
        _ => format!("{keyword}: `{one}` is not a number"),
    })
}

/// Returns a value in the form in which `ssh -G` prints it.
pub(super) fn normal(keyword: &str, value: String) -> String {
    match keyword {
        "connecttimeout" | "serveraliveinterval" if value != "none" => {
            seconds(&value).map_or(value, |seconds| seconds.to_string())
        }
        "identitiesonly"
        | "hashknownhosts"
        | "pubkeyauthentication"
        | "passwordauthentication"
        | "kbdinteractiveauthentication" => match value.to_ascii_lowercase().as_str() {
            "yes" | "true" => "yes".into(),
            "no" | "false" => "no".into(),
            // Other values such as `PubkeyAuthentication unbound`.
            _ => value,
        },
        "stricthostkeychecking" | "addressfamily" => value.to_ascii_lowercase(),
        _ => value,
    }
}

/// Parses a time of `sshd_config(5)` into seconds: `90`, `1m30s`, `2h`.
fn seconds(text: &str) -> Option<u64> {
    let mut whole: u64 = 0;
    let mut number = String::new();
    for letter in text.chars() {
        let unit = match letter.to_ascii_lowercase() {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return None,
        };
        whole = whole.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    if number.is_empty() {
        return (!text.is_empty()).then_some(whole);
    }
    whole.checked_add(number.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_and_values_are_checked() {
        assert!(FORMS.is_sorted_by_key(|(keyword, _)| *keyword));
        let checked = |keyword: &str, value: &str| {
            let arguments: Vec<String> = value.split(' ').map(str::to_owned).collect();
            form(keyword).map(|form| check(keyword, form, &arguments).is_ok())
        };
        assert_eq!(checked("hots", "web"), None);
        assert_eq!(checked("stricthostkeychecking", "maybe"), Some(false));
        assert_eq!(checked("stricthostkeychecking", "Accept-New"), Some(true));
        assert_eq!(checked("port", "0"), Some(false));
        assert_eq!(checked("user", "a b"), Some(false));
        assert_eq!(checked("sendenv", "a b"), Some(true));
    }
}

//! A stand-in for Docker's own apt repository: Debian's packages, repacked with the names, versions
//! and layout of download.docker.com. The Origin and every package description say that it is a
//! stand-in.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::LocalCommand;
use super::control_file::ControlFile;
use super::error::LabError;
use super::options::DebianSuite;
use super::repository::{RepositorySuite, SigningKey};
use super::stand_in_packages::{PACKAGES, StandInPackage};
use super::state::{make_folder, write_file};

/// Part of the mirror's recipe. The number stands for the code of this file and has to be raised
/// with it.
pub(crate) const RECIPE: &str = concat!(
    "stand-in 2\n",
    include_str!("stand_in_packages.rs"),
    include_str!("docker_ce_postinst.sh"),
    include_str!("containerd_postinst.sh"),
    include_str!("unit_prerm.sh"),
);

const PREREMOVE: &str = include_str!("unit_prerm.sh");

/// Builds `root/linux/{debian,ubuntu}` from the downloaded packages, each package in two versions.
pub(crate) fn build(
    root: &Path,
    suite: DebianSuite,
    downloaded: &[PathBuf],
    architecture: &str,
    key: &SigningKey,
) -> Result<(), LabError> {
    let debian = (
        suite.name(),
        format!("debian.{}~{}", suite.number(), suite.name()),
    );
    let distributions = [
        ("debian", vec![debian]),
        (
            "ubuntu",
            vec![
                ("noble", "ubuntu.24.04~noble".to_owned()),
                ("jammy", "ubuntu.22.04~jammy".to_owned()),
                ("resolute", "ubuntu.26.04~resolute".to_owned()),
            ],
        ),
    ];
    let folder = tempfile::tempdir_in(root).map_err(LabError::file("create", root))?;
    let mut trees = Vec::new();
    for recipe in PACKAGES {
        trees.push(recipe.unpack(&folder.path().join(recipe.name), downloaded)?);
    }
    for (distribution, releases) in distributions {
        let root = root.join("linux").join(distribution);
        make_folder(&root)?;
        write_file(&root.join("gpg"), key.public.as_bytes(), 0o644)?;
        for (release, tag) in releases {
            let pool = format!("dists/{release}/pool/stable/{architecture}");
            make_folder(&root.join(&pool))?;
            for (recipe, tree) in PACKAGES.iter().zip(&trees) {
                for bump in [0, 1] {
                    let version = recipe.version(&tree.upstream, bump, &tag);
                    recipe.pack(tree, &version, architecture, &root.join(&pool))?;
                }
            }
            let repository = RepositorySuite {
                root: &root,
                suite: release,
                component: "stable",
                pool: &pool,
                origin: "Docker",
                label: "Docker CE (stand-in made by skep lab)",
            };
            repository.write(architecture, key)?;
        }
    }
    Ok(())
}

/// Files of a package, without the final control file.
struct PackageTree {
    folder: PathBuf,
    upstream: String,
    depends: Vec<String>,
    note: String,
}

impl StandInPackage {
    fn unpack(&self, folder: &Path, downloaded: &[PathBuf]) -> Result<PackageTree, LabError> {
        let metadata = folder.join("DEBIAN");
        make_folder(&metadata)?;
        set_mode(folder, "0755")?;
        set_mode(&metadata, "0755")?;
        let found: Vec<(&str, &PathBuf)> = self
            .from
            .iter()
            .filter_map(|name| Some((*name, archive_of(downloaded, name)?)))
            .take(self.takes)
            .collect();
        let mut tree = PackageTree {
            folder: folder.to_path_buf(),
            upstream: self.fallback.to_owned(),
            depends: Vec::new(),
            note: "Empty: this release of Debian has no such program.".to_owned(),
        };
        let mut conffiles = String::new();
        for (at, (name, archive)) in found.iter().enumerate() {
            let control = ControlFile::of(archive)?;
            if at == 0 {
                tree.upstream = control.upstream().to_owned();
            }
            tree.depends.extend(control.depends_without(MADE_HERE));
            unpack_files(self.name, name, archive, folder)?;
            conffiles.push_str(&control.conffiles);
        }
        if let Some((first, _)) = found.first() {
            // Before trixie, Debian's docker.io also contained the client, and docker-compose was
            // another program.
            if self.name == "docker-compose-plugin"
                && !folder
                    .join("usr/libexec/docker/cli-plugins/docker-compose")
                    .exists()
            {
                let _ = (first, fs::remove_dir_all(folder.join("usr")));
                tree.depends.clear();
                tree.upstream = self.fallback.to_owned();
            } else {
                tree.note = format!("Built from Debian's {}.", self.from.join(" and "));
            }
        } else if self.unit.is_some() {
            return Err(LabError::Package {
                package: self.name.to_owned(),
                reason: format!("Debian's {} was not downloaded", self.from.join(" and ")),
            });
        }
        let kept = conffiles
            .lines()
            .filter(|path| folder.join(path.trim_start_matches('/')).exists());
        let kept: String = kept.map(|path| format!("{path}\n")).collect();
        if !kept.is_empty() {
            write_file(&metadata.join("conffiles"), kept.as_bytes(), 0o644)?;
        }
        if let Some((units, postinst)) = self.unit {
            write_file(&metadata.join("postinst"), postinst.as_bytes(), 0o755)?;
            let script = PREREMOVE.replace("@UNITS@", units);
            write_file(&metadata.join("prerm"), script.as_bytes(), 0o755)?;
        }
        Ok(tree)
    }

    fn version(&self, upstream: &str, bump: u32, tag: &str) -> String {
        let upstream = bumped(upstream, bump);
        if self.name == "containerd.io" {
            // Docker gives containerd.io the same version in every release.
            return format!("{upstream}-1");
        }
        format!("{}{upstream}-1~{tag}", self.epoch)
    }

    fn pack(
        &self,
        tree: &PackageTree,
        version: &str,
        architecture: &str,
        pool: &Path,
    ) -> Result<(), LabError> {
        let mut depends = tree.depends.clone();
        depends.extend(
            self.depends
                .split(", ")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        depends.sort();
        depends.dedup();
        let mut control = format!(
            "Package: {}\nVersion: {version}\nArchitecture: {architecture}\nSection: admin\nPriority: optional\n\
             Maintainer: skep lab <lab@skep.invalid>\n",
            self.name
        );
        if !depends.is_empty() {
            control.push_str(&format!("Depends: {}\n", depends.join(", ")));
        }
        for (field, value) in self.relations {
            control.push_str(&format!("{field}: {value}\n"));
        }
        control.push_str(&format!(
            "Description: stand-in for Docker's {}, for tests\n {}\n It does not come from Docker.\n",
            self.name, tree.note
        ));
        write_file(
            &tree.folder.join("DEBIAN/control"),
            control.as_bytes(),
            0o644,
        )?;
        let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
        let file = pool.join(format!("{}_{without_epoch}_{architecture}.deb", self.name));
        // zstd at its fastest level: these files live in a cache, and time matters more than size.
        LocalCommand::new("dpkg-deb")
            .arguments(["--root-owner-group", "-Zzstd", "-z1", "--build"])
            .arguments([&tree.folder, &file])
            .seconds(120)
            .run()
            .map(drop)
    }
}

/// Debian packages that the packages of the stand-in replace.
const MADE_HERE: &[&str] = &["containerd", "runc", "tini", "docker-cli", "docker.io"];

/// Unpacks the part of Debian's package that belongs into the stand-in's package.
fn unpack_files(ours: &str, theirs: &str, archive: &Path, folder: &Path) -> Result<(), LabError> {
    LocalCommand::new("dpkg-deb")
        .arguments(["-x"])
        .arguments([archive, folder])
        .seconds(120)
        .run()?;
    let client = folder.join("usr/bin/docker");
    match (ours, theirs) {
        // The client belongs to docker-ce-cli alone.
        ("docker-ce", "docker.io") => remove(&client),
        ("docker-ce-cli", "docker.io") if client.exists() => {
            let kept = fs::read(&client).map_err(LabError::file("read", &client))?;
            for entry in ["usr", "etc", "lib", "var"] {
                super::state::remove_folder(&folder.join(entry))?;
            }
            let folder = folder.join("usr/bin");
            make_folder(&folder)?;
            set_mode(&folder, "0755")?;
            if let Some(above) = folder.parent() {
                set_mode(above, "0755")?;
            }
            write_file(&client, &kept, 0o755)
        }
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), LabError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn set_mode(path: &Path, mode: &str) -> Result<(), LabError> {
    LocalCommand::new("chmod")
        .arguments([mode])
        .arguments([path])
        .run()
        .map(drop)
}

fn archive_of<'a>(downloaded: &'a [PathBuf], package: &str) -> Option<&'a PathBuf> {
    downloaded.iter().find(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.split('_').next() == Some(package))
    })
}

/// Returns the upstream version with its last number raised by `bump`.
fn bumped(upstream: &str, bump: u32) -> String {
    match upstream.rsplit_once('.') {
        Some((front, last)) => match last.parse::<u32>() {
            Ok(number) => format!("{front}.{}", number + bump),
            Err(_) => format!("{upstream}.{bump}"),
        },
        None => format!("{upstream}.{bump}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_look_like_dockers() {
        let engine = &PACKAGES[0];
        assert_eq!(
            engine.version("26.1.5", 0, "debian.13~trixie"),
            "5:26.1.5-1~debian.13~trixie"
        );
        assert_eq!(
            engine.version("26.1.5", 1, "ubuntu.24.04~noble"),
            "5:26.1.6-1~ubuntu.24.04~noble"
        );
        assert_eq!(
            PACKAGES[2].version("1.7.24", 1, "debian.13~trixie"),
            "1.7.25-1"
        );
    }

    #[test]
    fn archives_are_found_by_whole_name() {
        let files = [
            PathBuf::from("/x/docker-cli_1_amd64.deb"),
            PathBuf::from("/x/docker_2_amd64.deb"),
        ];
        assert_eq!(archive_of(&files, "docker"), Some(&files[1]));
        assert_eq!(archive_of(&files, "dock"), None);
    }
}

#!/usr/bin/env python3
"""Print the licences of every crate that a release of karat is linked from, for the archive that ships with it.

    python3 scripts/third_party_licences.py x86_64-unknown-linux-gnu > THIRD-PARTY-LICENSES

Standard library only. Reads `cargo metadata` for the target with the default features, follows normal dependencies from `karat`, and
prints what each crate's package holds as licence, copyright or notice. A crate without such a file is named with the expression of
its Cargo.toml. Texts that several crates share are printed once.
"""

import json
import subprocess
import sys
from pathlib import Path

NAMES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def linked(metadata):
    """Packages that `karat` reaches through normal dependencies, itself and the workspace's left out."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    members = set(metadata["workspace_members"])
    waiting = [package for package in members if packages[package]["name"] == "karat"]
    seen = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    return sorted((packages[package] for package in seen - members), key=lambda package: (package["name"], package["version"]))


def texts(package):
    """What lies in the package's folder under one of NAMES."""
    folder = Path(package["manifest_path"]).parent
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name.lower().startswith(NAMES)]
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in files]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", sys.argv[1]]
    root = Path(__file__).resolve().parent.parent
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    packages = linked(metadata)
    if len(packages) < 100:
        sys.exit(f"only {len(packages)} crates: dependencies were not followed")
    by_text = {}
    print("Crates that this program is linked from, with their licences.\n")
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or package['license_file']}")
        for text in texts(package):
            by_text.setdefault(text, []).append(name)
    for text, names in by_text.items():
        print(f"\n{'=' * 80}\n{', '.join(names)}\n\n{text}")


main()

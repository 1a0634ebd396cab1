#!/usr/bin/env bash
# Packs a built karat for a release: binary, licences, README, changelog, manual pages, completions. Prints the archive's path.
#   scripts/package.sh x86_64-unknown-linux-gnu                  # packs target/x86_64-unknown-linux-gnu/release/karat
#   KARAT=target/release/karat scripts/package.sh TARGET         # another binary
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${1:?name the target, such as x86_64-unknown-linux-gnu}
karat=${KARAT:-target/$target/release/karat}
version=$("$karat" --version | sed -n '1s/^karat //p')
name=karat-$version-$target
folder=target/archives/$name

rm -rf "$folder"
mkdir -p "$folder/completions"
cp "$karat" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$folder/"
python3 scripts/third_party_licences.py "$target" > "$folder/THIRD-PARTY-LICENSES"
"$karat" man "$folder/man/man1" > /dev/null
for shell in bash zsh fish elvish powershell; do
  "$karat" completions "$shell" > "$folder/completions/karat.$shell"
done
tar -C target/archives -czf "target/archives/$name.tar.gz" "$name"
printf '%s\n' "target/archives/$name.tar.gz"

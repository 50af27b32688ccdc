# Sourced by tools/test and tools/quickstart: installs what is missing, then builds. Debian and Ubuntu.

# Packages, and for each a file that tells that it is there.
gradus_packages=(
  g++:/usr/bin/g++
  cmake:/usr/bin/cmake
  ninja-build:/usr/bin/ninja
  ccache:/usr/bin/ccache
  git:/usr/bin/git
  libopenblas0-pthread:'/usr/lib/*/libopenblas.so.0'
  libfmt-dev:/usr/include/fmt/core.h
  nlohmann-json3-dev:/usr/include/nlohmann/json.hpp
  libcli11-dev:/usr/include/CLI/CLI.hpp
  libstb-dev:/usr/include/stb/stb_image.h
  doctest-dev:/usr/include/doctest/doctest.h
)

# Nothing is asked of the system if all is there: a second run is quick and works without a network.
install_missing() {
  local missing=() entry package file
  for entry in "${gradus_packages[@]}"; do
    package=${entry%%:*} file=${entry#*:}
    compgen -G "$file" >/dev/null || command -v "$(basename "$file")" >/dev/null || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "Installing: ${missing[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "This system has no apt-get; please install the like of: ${missing[*]}" >&2
    exit 1
  fi
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "Not root, and there is no sudo; please install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  # Package lists may be absent (a fresh container) or old: first try with those that are there.
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
  if ! "${install[@]}" "${missing[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get update -qq
    "${install[@]}" "${missing[@]}" >/dev/null
  fi
}

# build [target…]: the release preset, into build/release.
build() {
  local have least=3.25  # for the presets
  have=$(cmake --version | sed -n '1s/[^0-9]*//p')
  if [ "$(printf '%s\n' "$least" "$have" | sort -V | head -n 1)" != "$least" ]; then
    echo "CMake $least or newer is needed, and this is $have (Debian 12 and Ubuntu 24.04 have it; elsewhere: pip install cmake)" >&2
    exit 1
  fi
  [ -f build/release/build.ninja ] || cmake --preset release >/dev/null
  local targets=() target
  for target in "$@"; do targets+=(--target "$target"); done
  cmake --build build/release "${targets[@]}"
}

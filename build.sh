#!/bin/sh
# Builds, tests and runs STIG: ./build.sh [VERB] [ARGUMENTS]; ./build.sh help lists the verbs. The work is done by build.cs.
cd "$(dirname "$0")" || exit 1
# Without ICU the SDK runs in invariant mode only; nothing here needs cultures.
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT="${DOTNET_SYSTEM_GLOBALIZATION_INVARIANT:-1}"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
# `dotnet run FILE` keeps what it builds under the data folder, and stops when a fresh account has none.
mkdir -p "${XDG_DATA_HOME:-${HOME:-/tmp}/.local/share}"
command -v dotnet >/dev/null || { echo "build: dotnet is not on PATH; install the .NET 10 SDK (https://dot.net)" >&2; exit 1; }
exec dotnet run build.cs -- "$@"

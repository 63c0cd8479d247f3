# Builds, tests and runs STIG: ./build.ps1 [VERB] [ARGUMENTS]; ./build.ps1 help lists the verbs. The work is done by build.cs.
Set-Location $PSScriptRoot
$env:DOTNET_CLI_TELEMETRY_OPTOUT = $env:DOTNET_NOLOGO = $env:DOTNET_SKIP_FIRST_TIME_EXPERIENCE = '1'
if (-not (Get-Command dotnet -ErrorAction SilentlyContinue)) {
    [Console]::Error.WriteLine('build: dotnet is not on PATH; install the .NET 10 SDK (https://dot.net)')
    exit 1
}
dotnet run build.cs -- @args
exit $LASTEXITCODE

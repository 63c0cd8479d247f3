using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Stig.Cli.Tests")]

using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Stig.Cli")]
[assembly: InternalsVisibleTo("Stig.SelfTest.Tests")]

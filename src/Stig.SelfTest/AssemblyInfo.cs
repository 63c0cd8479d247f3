using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("stig")]
[assembly: InternalsVisibleTo("Stig.SelfTest.Tests")]

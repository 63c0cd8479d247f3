using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("stig")]
[assembly: InternalsVisibleTo("Stig.SelfTest")]
[assembly: InternalsVisibleTo("Stig.SelfTest.Tests")]
[assembly: InternalsVisibleTo("Stig.Model.Tests")]

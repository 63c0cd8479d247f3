using System.Runtime.CompilerServices;

[assembly: DisableRuntimeMarshalling]
[assembly: InternalsVisibleTo("Stig.Model")]
[assembly: InternalsVisibleTo("Stig.SelfTest")]
[assembly: InternalsVisibleTo("Stig.Interop.Tests")]
[assembly: InternalsVisibleTo("Stig.Model.Tests")]

using System.Reflection;

namespace Stig.Model;

/// <summary>The version of this program, as checkpoints and reports state it.</summary>
public static class ProgramVersion
{
    /// <summary>For example "0.1.0".</summary>
    public static string Current { get; } = typeof(ProgramVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
        ?.InformationalVersion.Split('+')[0] ?? "0";
}

using System.Runtime.CompilerServices;

namespace Stig.Tests;

/// <summary>Tests that name no device are tests of the CPU, also on a machine with a GPU, and where simulated libraries have been found.</summary>
internal static class DefaultDevice
{
    [ModuleInitializer]
    internal static void IsTheCpu() => Environment.SetEnvironmentVariable("STIG_DEVICE", "cpu");
}

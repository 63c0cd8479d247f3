using Stig.Tests;

namespace Stig.Model.Tests.Golden;

/// <summary>Files of the folder of reference tensors. What it lacks is a skip that names it.</summary>
internal static class GoldenFolder
{
    /// <summary>Opens NAME.safetensors, or skips the test.</summary>
    public static GoldenFile Open(string name) => new(name, Require(name + ".safetensors"));

    /// <summary>Path of a file of the folder, or a skip.</summary>
    public static string Require(string name)
    {
        string path = Path.Combine(ReferenceFolder.Location, name);
        Assert.SkipUnless(File.Exists(path), $"{name} is not in {ReferenceFolder.Location}; set {ReferenceFolder.Variable} to a folder that has it.");
        return path;
    }
}

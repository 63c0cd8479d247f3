namespace Stig.Model.Tests;

/// <summary>A folder of its own for one test, removed at the end.</summary>
internal sealed class TestFolder : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("stig-test-").FullName;

    public string this[string name] => Path.Combine(Root, name);

    public string Write(string name, ReadOnlySpan<byte> content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(this[name])!);
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);
}

using System.Globalization;
using Stig.Model.Checkpoints;
using Stig.Model.Graphs;

namespace Stig.Model.Tests.Golden;

/// <summary>One file of reference tensors. Asking for a tensor or a metadata entry that it lacks skips the test.</summary>
internal sealed class GoldenFile(string name, string path) : IDisposable
{
    private readonly SafeTensorsFile file = SafeTensorsFile.Open(path);

    /// <summary>Name without extension, as discrepancy.csv has it.</summary>
    public string Name => name;

    public bool Has(string tensor) => file.TryFind(tensor, out _);

    public Shape ShapeOf(string tensor) => new([.. Find(tensor).Shape.Select(extent => checked((int)extent))]);

    public float[] Floats(string tensor)
    {
        float[] values = new float[Find(tensor).Count];
        file.Read(tensor, values);
        return values;
    }

    public long[] Integers(string tensor)
    {
        long[] values = new long[Find(tensor).Count];
        file.Read(tensor, values);
        return values;
    }

    /// <summary>Positions as the graph takes them.</summary>
    public int[] Positions(string tensor) => [.. Integers(tensor).Select(value => checked((int)value))];

    /// <summary>The metadata entry of that name.</summary>
    public string Text(string key)
    {
        Assert.SkipUnless(file.Metadata.ContainsKey(key), $"{name} has no metadata entry {key}.");
        return file.Metadata[key];
    }

    /// <summary>The metadata entry of that name, a number.</summary>
    public double Number(string key) => double.Parse(Text(key), CultureInfo.InvariantCulture);

    /// <summary>
    /// What stands between prefix and suffix in the names of tensors, in the order of the file: "k1" for "input_k1" with
    /// prefix "input_". A skip when no name has both.
    /// </summary>
    /// <param name="prefix">Start of the names.</param>
    /// <param name="suffix">End of the names.</param>
    /// <param name="dots">Whether what stands between may contain dots.</param>
    public IReadOnlyList<string> Between(string prefix, string suffix, bool dots = false)
    {
        List<string> found = [.. file.Tensors.Select(tensor => tensor.Name)
            .Where(n => n.Length > prefix.Length + suffix.Length && n.StartsWith(prefix, StringComparison.Ordinal)
                && n.EndsWith(suffix, StringComparison.Ordinal))
            .Select(n => n[prefix.Length..(n.Length - suffix.Length)])
            .Where(middle => dots || !middle.Contains('.'))];
        Assert.SkipWhen(found.Count == 0, $"{name} has no tensor {prefix}*{suffix}.");
        return found;
    }

    public void Dispose() => file.Dispose();

    private StoredTensor Find(string tensor)
    {
        bool found = file.TryFind(tensor, out StoredTensor? stored);
        Assert.SkipUnless(found, $"{name} has no tensor {tensor}.");
        return stored!;
    }
}

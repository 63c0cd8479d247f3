using System.Globalization;

namespace Stig.Model.Tests.Golden;

/// <summary>Error of one stored float32 tensor against the same computation in float64.</summary>
/// <param name="LargestValue">Largest absolute value.</param>
/// <param name="LargestDifference">Largest absolute difference.</param>
/// <param name="RelativeL2">Relative L2 norm of the difference.</param>
/// <param name="IsZero">Whether the exact value is zero: a gradient of a bias in front of a normalisation.</param>
internal sealed record Discrepancy(double LargestValue, double LargestDifference, double RelativeL2, bool IsZero);

/// <summary>discrepancy.csv: what the reference itself is wrong by.</summary>
internal static class Discrepancies
{
    private static readonly Lazy<Dictionary<(string, string), Discrepancy>> Table = new(Read);

    /// <summary>The line of a tensor; null for an input, which is exact.</summary>
    public static Discrepancy? Find(string file, string tensor) => Table.Value.GetValueOrDefault((file, tensor));

    private static Dictionary<(string File, string Tensor), Discrepancy> Read()
    {
        string[] lines = File.ReadAllLines(GoldenFolder.Require("discrepancy.csv"));
        string[] header = lines[0].Split(',');
        int Column(string name) => Array.IndexOf(header, name);
        (int file, int tensor, int note) = (Column("file"), Column("tensor"), Column("note"));
        (int value, int difference, int relative) = (Column("max_abs_value"), Column("max_abs_diff"), Column("rel_l2"));
        return lines.Skip(1).Where(line => line.Length > 0).Select(line => line.Split(',')).ToDictionary(
            cells => (cells[file], cells[tensor]),
            cells => new Discrepancy(
                Number(cells[value]), Number(cells[difference]), Number(cells[relative]), cells[note] == "zero"));
    }

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}

using System.Globalization;

namespace Stig.Tests;

/// <summary>
/// Tests with a long form: the same test, with an amount (steps, images, kills, fuzzed files) that the environment variable STIG_SOAK_SCALE
/// scales. Such a test carries <c>[Trait(Soak.Category, Soak.LongForm)]</c>, takes its amount from <see cref="Scale"/>, and writes with
/// <see cref="Report"/> what it did; <c>./build.sh soak</c> runs all of them and keeps their lines.
/// </summary>
internal static class Soak
{
    /// <summary>Name of the trait by which tests with a long form are found.</summary>
    public const string Category = "Category";

    /// <summary>Value of that trait.</summary>
    public const string LongForm = "Soak";

    private const string Variable = "STIG_SOAK_SCALE";

    /// <summary>Share of the long form that is run: 0, where the variable is not set, for the normal amount; 1 for the whole.</summary>
    public static double Share { get; } = Read();

    /// <summary>The amount to run: <paramref name="normal"/>, or that share of <paramref name="whole"/> where it is more.</summary>
    /// <param name="normal">In every test run; takes seconds.</param>
    /// <param name="whole">In the long form.</param>
    public static int Scale(int normal, int whole) => Math.Max(normal, checked((int)Math.Round(whole * Share)));

    /// <summary>Adds a line to the test's output, for instance its amounts and its seed.</summary>
    public static void Report(FormattableString line) =>
        TestContext.Current.TestOutputHelper!.WriteLine(FormattableString.Invariant(line));

    private static double Read()
    {
        string? text = Environment.GetEnvironmentVariable(Variable);
        return string.IsNullOrEmpty(text) ? 0
            : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double share) && share >= 0 && double.IsFinite(share)
                ? share
                : throw new InvalidOperationException($"{Variable} is '{text}'; it must be a number of at least 0, where 1 is the whole long form.");
    }
}

using System.Globalization;
using Stig.Model.Imaging;

namespace Stig.Cli.Tests;

public sealed class DemoTests(Workspace workspace)
{
    private static readonly string[] Rows =
        ["fake, as generated", "fake, filter alone", "fake, default model, best", "fake, default model, last", "other real images"];

    [Fact]
    public void A_demo_leaves_table_images_sheet_and_plot_and_repeats_itself()
    {
        string first = Path.Combine(workspace.NewFolder(), "demo"), second = Path.Combine(workspace.NewFolder(), "demo");

        CliRun run = CliRun.Of("demo", "--quick", "--out", first, "--seed", "3");
        CliRun again = CliRun.Of("demo", "--quick", "--out", second, "--seed", "3");

        Assert.Equal((ExitCode.Success, ""), (run.Code, run.Error));
        string[] table = [.. run.Output.Split('\n').Where(line => line.StartsWith('|'))];
        Assert.Equal(Rows.Length + 2, table.Length);
        double[] distances = [.. Rows.Select(row => Distance(table, row))];
        Assert.True(distances[1] < distances[0], "the filter brings the fakes nearer");
        Assert.True(distances[4] < distances[0], "other real images are nearer than fakes");
        Assert.Equal(table, again.Output.Split('\n').Where(line => line.StartsWith('|')));

        string[] refined = [.. Directory.GetFiles(Path.Combine(first, "refined"), "*.png").Select(path => Path.GetFileName(path)).Order()];
        Assert.Equal(DemoPlan.Quick.TestImages, refined.Length);
        foreach (string name in refined.Select(name => Path.Combine("refined", name)).Append("contact-sheet.png"))
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(first, name)), File.ReadAllBytes(Path.Combine(second, name)));
        }

        foreach (string name in (string[])["contact-sheet.png", "spectrum-profile.png"])
        {
            Assert.Contains(Path.Combine(first, name), run.Output, StringComparison.Ordinal);
            AssertTitleIsDrawn(ImageCodec.Load(Path.Combine(first, name)));
        }
    }

    [Fact]
    public void A_folder_with_other_things_is_left_alone()
    {
        string folder = workspace.NewFolder(), file = Path.Combine(folder, "data", "mine.txt");
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, "mine");

        CliRun.Of("demo", "--quick", "--out", folder).AssertFails(ExitCode.Usage, folder);

        Assert.Equal([file], Directory.GetFiles(folder, "*", SearchOption.AllDirectories));
    }

    private static double Distance(string[] table, string row) =>
        double.Parse(table.Single(line => line.Contains(row, StringComparison.Ordinal)).Split('|')[2], CultureInfo.InvariantCulture);

    // A title of letters a dozen pixels high covers well over a hundred pixels; without a font there would be none.
    private static void AssertTitleIsDrawn(RgbImage image)
    {
        int dark = 0;
        for (int i = 0; i < 3 * image.Width * 38; i += 3)
        {
            dark += image.Pixels[i] < 128 && image.Pixels[i + 1] < 128 && image.Pixels[i + 2] < 128 ? 1 : 0;
        }

        Assert.InRange(dark, 200, image.Width * 38 / 4);
    }
}

using System.Text.Json;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: the reference's generator at the paper's width, weights by formula (unet_full_width). The file's metadata has the
/// reference's own error; tolerance: ten times that and at least 1e-5 with direct convolutions, ten times more with
/// Winograd's algorithm, whose transforms lose about one decimal digit.
/// </summary>
public sealed class GoldenFullWidthTests
{
    private const int PaperWidth = 64;

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 10)]
    public void Output_and_features_match(bool winograd, double factor)
    {
        using GoldenFile file = GoldenFolder.Open("unet_full_width");
        var check = new GoldenCheck(file);
        using JsonDocument errors = JsonDocument.Parse(file.Text("float32_vs_float64_relative"));
        var generator = new NestedUNet(PaperWidth, Prefix: "");
        Dictionary<string, Shape> shapes = generator.Parameters().ToDictionary(spec => spec.Name, spec => spec.Shape);
        using Evaluation run = new(name => FormulaWeights.Of(name, shapes[name]), executor: new CpuExecutor(new CpuOptions(winograd)));
        Shape shape = file.ShapeOf("output");
        Value input = run.Input("input", TensorType.Float(shape), FormulaWeights.Noise("input", shape.Count));
        Tolerance Bound(string quantity) => new(Measure.RelativeL2,
            factor * Math.Max(Tolerance.Floor, Tolerance.Margin * errors.RootElement.GetProperty(quantity).GetDouble()));

        Value output = generator.Apply(run.Graph, input, NormalizationMode.Batch);
        run.Read(output, values => check.Tensor("output", values, Bound("output")));
        Value[] features = generator.Encode(run.Graph, input, NestedUNet.Levels, NormalizationMode.Batch);
        foreach ((int level, Value feature) in features.Index())
        {
            string tensor = $"feature{level}.first_channels";
            if (check.Expects(tensor))
            {
                int count = checked((int)file.ShapeOf(tensor).Count);
                run.Read(feature, values => check.Tensor(tensor, values.AsSpan(0, count), Bound($"feature{level}")));
            }
        }

        run.Run();
        check.Finish();
    }
}

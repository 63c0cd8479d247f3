using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: single layers of the reference (file 11). Tolerance: <see cref="Tolerance"/>. The gradients of batch normalisation
/// in evaluation mode are left out: nothing trains through it, and the operation has no gradient rule.
/// </summary>
public sealed class GoldenBlockTests
{
    private const float Epsilon = 1e-5f;

    [Theory]
    [InlineData("bicubic_up2")]
    [InlineData("maxpool2")]
    [InlineData("maxpool2_after_relu")]
    [InlineData("instance_norm")]
    [InlineData("leaky_relu")]
    [InlineData("l2_normalize")]
    public void Layer_without_parameters_matches(string layer)
    {
        using GoldenFile file = GoldenFolder.Open("11_blocks");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        Graph graph = run.Graph;
        Value input = run.Input(file, $"{layer}.input");
        Value output = layer switch
        {
            "bicubic_up2" => graph.BicubicUp2(input),
            "instance_norm" => graph.Normalization(input, null, null, NormalizationStatistics.PerImage, Epsilon, 1f)[0],
            "leaky_relu" => graph.LeakyRelu(input, 0.2f),
            "l2_normalize" => graph.L2Normalize(input, 1e-7f),
            "maxpool2_after_relu" => graph.MaxPool2x2(graph.Relu(input)),
            _ => graph.MaxPool2x2(input),
        };
        run.Expect(check, $"{layer}.output", output);
        run.ExpectGradients(check, output, run.Input(file, $"{layer}.cotangent"), ($"{layer}.grad_input", input));
        run.Run();
        check.Finish();
    }

    [Theory]
    [InlineData("conv3x3", 1)]
    [InlineData("conv3x3_stride2", 2)]
    public void Convolution_matches(string layer, int stride)
    {
        using GoldenFile file = GoldenFolder.Open("11_blocks");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        Value input = run.Input(file, $"{layer}.input");
        Value weight = Parameter(run, file, $"{layer}.weight");
        Value bias = Parameter(run, file, $"{layer}.bias");
        Value output = run.Graph.Conv2d(input, weight, bias, stride, 1);
        run.Expect(check, $"{layer}.output", output);
        run.ExpectGradients(check, output, Cotangent(run, file, layer, output), ($"{layer}.grad_input", input),
            ($"{layer}.grad_weight", weight), ($"{layer}.grad_bias", bias));
        run.Run();
        check.Finish();
    }

    [Fact]
    public void Batch_norm_with_batch_statistics_matches()
    {
        const string layer = "batch_norm_train";
        using GoldenFile file = GoldenFolder.Open("11_blocks");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        Value input = run.Input(file, $"{layer}.input");
        Value weight = Parameter(run, file, $"{layer}.weight");
        Value bias = Parameter(run, file, $"{layer}.bias");
        IReadOnlyList<Value> outputs = run.Graph.Normalization(input, weight, bias, NormalizationStatistics.Batch, Epsilon, 1f);
        run.Graph.Apply(new RunningStatistics(input.Shape.Count / input.Shape.C, 0.1f), outputs[1], outputs[2],
            Parameter(run, file, $"{layer}.running_mean"), Parameter(run, file, $"{layer}.running_var"));
        run.Expect(check, $"{layer}.output", outputs[0]);
        run.ExpectGradients(check, outputs[0], run.Input(file, $"{layer}.cotangent"), ($"{layer}.grad_input", input),
            ($"{layer}.grad_weight", weight), ($"{layer}.grad_bias", bias));
        run.Run();
        check.Tensor($"{layer}.running_mean_after", run.Parameter($"{layer}.running_mean"));
        check.Tensor($"{layer}.running_var_after", run.Parameter($"{layer}.running_var"));
        check.Finish();
    }

    [Fact]
    public void Batch_norm_with_running_statistics_matches()
    {
        const string layer = "batch_norm_eval";
        using GoldenFile file = GoldenFolder.Open("11_blocks");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        run.Expect(check, $"{layer}.output", run.Graph.ApplySingle(
            new RunningNormalization(Epsilon, 1f),
            run.Input(file, $"{layer}.input"),
            Parameter(run, file, $"{layer}.weight"),
            Parameter(run, file, $"{layer}.bias"),
            Parameter(run, file, $"{layer}.running_mean"),
            Parameter(run, file, $"{layer}.running_var")));
        run.Run();
        check.Tensor($"{layer}.running_mean_after", run.Parameter($"{layer}.running_mean"));
        check.Tensor($"{layer}.running_var_after", run.Parameter($"{layer}.running_var"));
        check.Finish();
    }

    [Fact]
    public void Block_of_two_convolutions_matches()
    {
        const string layer = "vgg_block";
        using GoldenFile file = GoldenFolder.Open("11_blocks");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        Value input = run.Input(file, $"{layer}.input");
        Value x = input;
        for (int i = 1; i <= 2; i++)
        {
            Value P(string name) => Parameter(run, file, $"{layer}.{name}");
            x = run.Graph.Conv2d(x, P($"conv{i}.weight"), P($"conv{i}.bias"), 1, 1);
            x = run.Graph.Normalization(x, P($"bn{i}.weight"), P($"bn{i}.bias"), NormalizationStatistics.Batch, Epsilon, 0f)[0];
        }

        run.Expect(check, $"{layer}.output", x);
        run.ExpectGradients(check, x, Cotangent(run, file, layer, x), [($"{layer}.grad_input", input),
            .. run.Graph.Parameters.Values.Select(parameter => ($"{layer}.grad{parameter.Name[layer.Length..]}", parameter))]);
        run.Run();
        check.Finish();
    }

    private static Value Parameter(Evaluation run, GoldenFile file, string tensor) =>
        run.Graph.Parameter(tensor, file.ShapeOf(tensor));

    // Gradients of feature maps are feature maps.
    private static Value Cotangent(Evaluation run, GoldenFile file, string layer, Value output) =>
        run.Graph.ApplySingle(new Relayout(output.Type.Layout), run.Input(file, $"{layer}.cotangent"));
}

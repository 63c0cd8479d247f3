using Stig.Model.Training;

namespace Stig.Model.Tests.Training;

public sealed class LearningRateScheduleTests
{
    // By hand, for 100 steps: constant for the first 20, then linear to zero, which the step after the last would have.
    [Theory]
    [InlineData(0, 1)]
    [InlineData(20, 1)]
    [InlineData(21, 1 - (1 / 80.0))]
    [InlineData(60, 0.5)]
    [InlineData(99, 1 / 80.0)]
    [InlineData(100, 0)]
    [InlineData(150, 0)]
    public void The_default_is_constant_for_a_fifth_and_then_falls_to_zero(long completed, double factor) =>
        Assert.Equal(factor, LearningRateSchedule.Factor(100, completed), precision: 12);
}
